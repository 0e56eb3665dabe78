import pytest
import torch

from mnist_vae.explorer.explored_run import ExploredRun
from mnist_vae.explorer.panels.code import CodePanel
from mnist_vae.explorer.subject import Subject

Explored = dict[str, ExploredRun]


def test_a_slider_changes_one_dimension_of_the_code(explored: Explored) -> None:
    subject = Subject([explored["mlp"]])
    panel = CodePanel(subject)
    subject.changed.append(panel.update)
    panel.show_test_image(2)
    before = subject.codes[0].clone()
    panel.sliders.sliders[1].value = -0.75
    expected = before.clone()
    expected[1] = -0.75
    assert torch.equal(subject.codes[0], expected) and subject.x is None


def test_a_test_image_is_chosen_by_its_number(explored: Explored) -> None:
    run = explored["mlp"]
    subject = Subject([run])
    panel = CodePanel(subject)
    panel.number.value = 7
    assert subject.x is not None and torch.equal(subject.x, run.pixels(7)) and subject.label == int(run.labels[7])
    panel.number.value = None  # an empty field
    assert torch.equal(subject.x, run.pixels(7))
    assert panel.number.high == len(run.images) - 1


def test_the_number_is_empty_unless_its_image_is_shown(explored: Explored) -> None:
    run = explored["mlp"]
    subject = Subject([run])
    panel = CodePanel(subject)
    subject.changed.append(panel.update)
    panel.number.value = 7
    assert panel.number.value == 7
    panel.show_random_code()
    assert panel.number.value is None
    panel.number.value = 7  # so it can be chosen again
    assert subject.x is not None and torch.equal(subject.x, run.pixels(7))


@pytest.mark.parametrize("name", ["plane", "vamp"])
def test_random_codes_are_the_priors(explored: Explored, name: str) -> None:
    subject = Subject([explored[name]])
    panel = CodePanel(subject)
    codes = []
    for _ in range(200):
        panel.show_random_code()
        codes.append(subject.codes[0])
    expected = explored[name].prior_codes
    error = expected.std(dim=0) / 200**0.5
    assert ((torch.stack(codes).mean(dim=0) - expected.mean(dim=0)).abs() < 5 * error).all()


def test_a_random_test_image_sets_the_number(explored: Explored) -> None:
    run = explored["mlp"]
    subject = Subject([run])
    panel = CodePanel(subject)
    numbers = set()
    for _ in range(10):
        panel.show_random_image()
        numbers.add(panel.number.value)
        assert subject.x is not None and torch.equal(subject.x, run.pixels(panel.number.value))
    assert len(numbers) > 1
