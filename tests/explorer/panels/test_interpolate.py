import torch

from mnist_vae.explorer.explored_run import ExploredRun
from mnist_vae.explorer.panels.interpolate import STEPS, InterpolationPanel
from mnist_vae.explorer.pictures import packed
from mnist_vae.explorer.subject import Subject
from mnist_vae.figures.mosaics import image_grid

Explored = dict[str, ExploredRun]


def panel_of(*runs: ExploredRun) -> InterpolationPanel:
    return InterpolationPanel(Subject(runs))


def test_the_slider_walks_the_line_between_two_codes(explored: Explored) -> None:
    run = explored["mlp"]
    panel = panel_of(run)
    panel.slider.value = 0.25
    first, last = run.posterior.mean[0], run.posterior.mean[1]
    assert torch.allclose(panel.subject.codes[0], 0.75 * first + 0.25 * last, atol=1e-4)
    assert panel.subject.line is not None
    assert torch.allclose(panel.subject.line, torch.stack([first, last]), atol=1e-4)


def test_each_run_has_its_line_and_strip(explored: Explored) -> None:
    panel = panel_of(explored["mlp"], explored["plane"])
    panel.slider.value = 1
    for code, run in zip(panel.subject.codes, (explored["mlp"], explored["plane"]), strict=True):
        assert torch.allclose(code, run.posterior.mean[1], atol=1e-4)
    assert [strip.count for strip in panel.strips] == [STEPS, STEPS]


def test_the_code_shown_can_become_an_end(explored: Explored) -> None:
    panel = panel_of(explored["plane"])
    for end, z in enumerate((torch.tensor([1.0, 2.0]), torch.tensor([-1.0, 0.0]))):
        panel.subject.show_code(z)
        before = panel.strips[0].picture.source.data["image"][0].copy()
        panel.set_end(end)
        assert (panel.strips[0].picture.source.data["image"][0] != before).any()
        assert panel.slider.value == end and torch.equal(panel.subject.codes[0], z)
    panel.slider.value = 0.5
    assert panel.subject.codes[0].tolist() == [0.0, 1.0]


def test_random_ends_are_codes_of_test_images(explored: Explored) -> None:
    run = explored["plane"]
    panel = panel_of(run)
    panel.set_random_ends()
    for [code] in panel.ends:
        assert (run.posterior.mean - code).abs().amax(dim=1).min() < 1e-4


def test_the_strip_follows_the_label(explored: Explored) -> None:
    run = explored["conditional"]
    panel = panel_of(run)
    panel.subject.changed.append(panel.update)
    panel.subject.show_label(7)
    last = panel.ends[1][0]
    expected = image_grid(
        run.decode(torch.lerp(panel.ends[0][0], last, torch.linspace(0, 1, STEPS)[:, None]), 7).numpy(), STEPS, 2
    )
    assert (panel.strips[0].picture.source.data["image"][0] == packed(expected)).all()
