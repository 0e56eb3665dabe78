import torch

from mnist_vae.explorer.explored_run import ExploredRun
from mnist_vae.explorer.panels.sample import COLUMNS, ROWS, SamplePanel
from mnist_vae.explorer.subject import Subject

Explored = dict[str, ExploredRun]


def test_a_sample_that_is_clicked_is_shown(explored: Explored) -> None:
    subject = Subject([explored["mlp"]])
    panel = SamplePanel(subject)
    codes, images = panel.drawn[0]
    assert len(images) == ROWS * COLUMNS
    panel.choose(0, 17)
    assert torch.equal(subject.codes[0], codes[17])
    assert torch.allclose(subject.images()[0], images[17], atol=1e-5)


def test_temperature_scales_the_codes_of_the_same_noise(explored: Explored) -> None:
    panel = SamplePanel(Subject([explored["mlp"]]))
    before = panel.drawn[0][0]
    panel.temperature.value = 0.5
    assert torch.allclose(panel.drawn[0][0], 0.5 * before)
    panel.resample()
    assert not torch.allclose(panel.drawn[0][0], 0.5 * before)


def test_a_conditional_run_has_a_code_a_row_and_a_label_a_column(explored: Explored) -> None:
    run = explored["conditional"]
    subject = Subject([run])
    panel = SamplePanel(subject)
    codes, images = panel.drawn[0]
    rows = codes.reshape(ROWS, 10, -1)
    assert torch.equal(rows, rows[:, :1].expand_as(rows))
    panel.choose(0, 23)
    assert subject.label == 3 and torch.allclose(subject.images()[0], images[23], atol=1e-5)


def test_runs_of_one_prior_share_their_codes(explored: Explored) -> None:
    panel = SamplePanel(Subject([explored["conv"], explored["conditional"]]))
    conv, conditional = (codes for codes, _ in panel.drawn)
    assert torch.equal(conv[:ROWS], conditional[::10])


def test_a_sample_of_the_second_run_is_shown_in_the_second(explored: Explored) -> None:
    subject = Subject([explored["mlp"], explored["plane"]])
    panel = SamplePanel(subject)
    first = subject.codes[0]
    panel.choose(1, 4)
    assert torch.equal(subject.codes[0], first) and torch.equal(subject.codes[1], panel.drawn[1][0][4])
