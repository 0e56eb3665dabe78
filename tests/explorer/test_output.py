import re

import numpy as np
import pytest

from mnist_vae.explorer.explored_run import ExploredRun
from mnist_vae.explorer.output import Output
from mnist_vae.explorer.pictures import packed, to_bytes
from mnist_vae.explorer.subject import Subject
from mnist_vae.utils.text import MINUS

Explored = dict[str, ExploredRun]


def numbers(output: Output) -> list[float]:
    return [float(text.replace(MINUS, "-")) for text in re.findall(rf"<td>({MINUS}?[\d.]+)</td>", output.numbers.text)]


def test_an_image_is_shown_with_its_reconstruction_and_nats(explored: Explored) -> None:
    run = explored["mlp"]
    subject = Subject([run])
    output = Output(subject)
    subject.show_image(run.pixels(3), int(run.labels[3]))
    output.update()
    [inspection] = subject.inspections
    assert np.array_equal(output.input.source.data["image"][0], packed(to_bytes(run.pixels(3))))
    assert np.array_equal(output.decoded[0].source.data["image"][0], packed(to_bytes(inspection.reconstruction[0])))
    reconstruction, kl = inspection.nats[0].tolist()
    assert numbers(output) == pytest.approx([-(reconstruction + kl), reconstruction, kl], abs=0.006)
    assert output.input_column.visible and output.nearest.visible
    assert re.search(r"class by nearest neighbours: \d \(\d of 5\)", output.numbers.text)


def test_a_code_is_shown_with_its_density_under_the_prior(explored: Explored) -> None:
    run = explored["plane"]
    subject = Subject([run])
    output = Output(subject)
    subject.show_code(run.prior_mean)
    output.update()
    assert numbers(output) == pytest.approx([-np.log(2 * np.pi)], abs=0.006)
    assert not output.input_column.visible and not output.nearest.visible


def test_of_two_runs_each_has_a_picture_and_a_row(explored: Explored) -> None:
    subject = Subject([explored["mlp"], explored["plane"]])
    output = Output(subject)
    subject.show_image(explored["mlp"].pixels(0), 0)
    output.update()
    assert len(output.decoded) == 2 and len(numbers(output)) == 6
    assert "plane, by its own code" in {div.text for div in output.layout.select({"type": type(output.numbers)})}


def test_a_name_is_no_markup(explored: Explored, monkeypatch: pytest.MonkeyPatch) -> None:
    run = explored["mlp"]
    monkeypatch.setattr(run, "name", "<script>alert(1)</script>")
    subject = Subject([run, explored["plane"]])
    output = Output(subject)
    subject.show_image(run.pixels(0), 0)
    output.update()
    assert not any("<script" in div.text for div in output.layout.select({"type": type(output.numbers)}))


def test_a_label_can_be_chosen_for_a_conditional_run_only(explored: Explored) -> None:
    assert not Output(Subject([explored["mlp"]])).label.visible
    subject = Subject([explored["conditional"]])
    output, chosen = Output(subject), []
    output.on_label(chosen.append)
    assert output.label.visible and [name for _, name in output.label.options] == list("0123456789")
    output.label.value = "4"
    assert chosen == [4]
    subject.show_label(5)
    output.update()
    assert output.label.value == "5" and chosen == [4]


def test_the_guess_of_a_conditional_run_is_not_the_label_that_it_was_given(explored: Explored) -> None:
    run = explored["conditional"]
    subject = Subject([run])
    output = Output(subject)
    guess = run.most_likely_label(run.pixels(0))
    subject.show_image(run.pixels(0), (guess + 1) % 10)
    output.update()
    assert f"label of the largest ELBO: {guess}" in output.numbers.text
    assert "class by nearest neighbours" in output.numbers.text
