import torch

from mnist_vae.explorer.explored_run import ExploredRun
from mnist_vae.explorer.panels.interpolate import STEPS, InterpolationPanel
from mnist_vae.explorer.subject import Subject

Explored = dict[str, ExploredRun]
Marks = list[tuple[torch.Tensor, torch.Tensor]]


def panel_of(*runs: ExploredRun) -> tuple[InterpolationPanel, Marks]:
    marks: Marks = []
    return InterpolationPanel(Subject(runs), lambda z, line: marks.append((z, line))), marks


def test_the_slider_walks_the_line_between_two_codes(explored: Explored) -> None:
    run = explored["mlp"]
    panel, marks = panel_of(run)
    panel.slider.value = 0.25
    first, last = run.posterior.mean[0], run.posterior.mean[1]
    assert torch.allclose(panel.subject.codes[0], 0.75 * first + 0.25 * last, atol=1e-4)
    [(z, line)] = marks
    assert torch.equal(z, panel.subject.codes[0]) and torch.allclose(line, torch.stack([first, last]), atol=1e-4)


def test_each_run_has_its_line_and_strip(explored: Explored) -> None:
    panel, _ = panel_of(explored["mlp"], explored["plane"])
    panel.slider.value = 1
    for code, run in zip(panel.subject.codes, (explored["mlp"], explored["plane"]), strict=True):
        assert torch.allclose(code, run.posterior.mean[1], atol=1e-4)
    assert [strip.count for strip in panel.strips] == [STEPS, STEPS]


def test_the_code_shown_can_become_an_end(explored: Explored) -> None:
    panel, _ = panel_of(explored["plane"])
    for end, z in enumerate((torch.tensor([1.0, 2.0]), torch.tensor([-1.0, 0.0]))):
        panel.subject.show_code(z)
        before = panel.strips[0].picture.source.data["image"][0].copy()
        panel.set_end(end)
        assert (panel.strips[0].picture.source.data["image"][0] != before).any()
    panel.slider.value = 0.5
    assert panel.subject.codes[0].tolist() == [0.0, 1.0]


def test_random_ends_are_codes_of_test_images(explored: Explored) -> None:
    run = explored["plane"]
    panel, _ = panel_of(run)
    panel.set_random_ends()
    for [code] in panel.ends:
        assert (run.posterior.mean - code).abs().amax(dim=1).min() < 1e-4
