import json
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from omegaconf import OmegaConf
from PIL import Image

from mnist_vae.config import hparams
from mnist_vae.config.hparams import beta_of
from mnist_vae.data.mnist import DIGITS, FASHION
from mnist_vae.figures import run_figures
from mnist_vae.figures.run_figures import (
    CAPTION,
    FIGURES,
    RunSummary,
    draw_all,
    draw_animation,
    samples,
    traversals,
    uncertainty,
)
from mnist_vae.figures.style import FONT
from mnist_vae.models.likelihoods import Bernoulli
from mnist_vae.models.networks.mlp import MLP
from mnist_vae.models.priors import Flow, Mixture, Prior, StandardNormal, VampPrior
from mnist_vae.models.vae import VAE
from mnist_vae.runs.folder import RunFolder
from mnist_vae.runs.load import OpenRun, open_run
from mnist_vae.utils.errors import RunFolderError

ALWAYS = {"results", "curves", "samples", "latent_space", "kl_per_dimension", "traversals", "interpolations"}


def run_summary(run: OpenRun) -> RunSummary:
    return RunSummary(
        hparams.title(run.cfg, run.folder.read_choices()),
        run.vae,
        run.data().test_split,
        DIGITS,
        run.folder.read_rows(),
        run.folder.read_metrics(),
    )


@pytest.mark.parametrize(("name", "more"), [("mlp", set()), ("plane", {"manifold"}), ("conv", set())])
def test_a_run_has_the_figures_that_apply_in_high_resolution(
    trained: Path, tmp_path: Path, name: str, more: set[str]
) -> None:
    files = draw_all(run_summary(open_run(trained / name)), tmp_path)
    assert {file.stem for file in files} - {"uncertainty"} == ALWAYS | more
    for file in files:
        with Image.open(file) as image:
            assert image.info["dpi"][0] >= 150 - 1e-3 and min(image.size) > 200
            assert len(np.unique(np.asarray(image.convert("L")))) > 10  # it is not blank


def test_figures_of_training_equal_those_drawn_again(trained: Path, tmp_path: Path) -> None:
    draw_all(run_summary(open_run(trained / "mlp")), tmp_path)
    for file in tmp_path.glob("*.png"):
        assert file.read_bytes() == (trained / "mlp" / "figures" / file.name).read_bytes(), file.name


def test_a_figure_that_no_longer_applies_is_removed(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "manifold.png").touch()
    draw_all(run_summary(open_run(trained / "mlp")), tmp_path)
    assert not (tmp_path / "manifold.png").exists()


@pytest.mark.parametrize("latent_dim", [1, 2, 40])
def test_any_latent_dim_and_few_images_can_be_drawn(trained: Path, latent_dim: int) -> None:
    from mnist_vae.config.build import build_vae

    cfg = open_run(trained / "mlp").cfg.copy()
    OmegaConf.update(cfg, "latent_dim", latent_dim)
    images = torch.randint(0, 256, (5, 1, 28, 28), dtype=torch.uint8)
    run = RunSummary(
        hparams.title(cfg, {}),
        build_vae(cfg, (1, 28, 28)).eval(),
        (images, torch.tensor([7, 2, 2, 9, 2])),
        FASHION,
        [],
        {},
    )
    assert run.classes == ["pullover", "sneaker", "boot"] and run.class_indices.tolist() == [1, 0, 0, 2, 0]
    assert run.nth_of_each_class(0).tolist() == [1, 0, 3] and run.nth_of_each_class(1).tolist() == [2, 0, 3]
    drawn = {make.__name__: make(run) for make in FIGURES}
    assert (drawn["manifold"] is None) == (latent_dim != 2) and drawn["curves"] is None


def test_uncertainty_is_drawn_only_if_it_is_visible(trained: Path) -> None:
    run = run_summary(open_run(trained / "mlp"))
    with torch.no_grad():
        run.vae.to_posterior.weight[5:] = 0
        run.vae.to_posterior.bias[5:] = -15.0  # a standard deviation of 5e-4
    assert uncertainty(run) is None
    del run.posterior
    with torch.no_grad():
        run.vae.to_posterior.bias[5:] = 0.0
    assert uncertainty(run) is not None


def test_titles_have_the_beta_that_was_trained(trained: Path) -> None:
    run = open_run(trained / "mlp")
    run.cfg.objective.beta = 4.0
    assert beta_of(run.cfg) == 4 and "beta 4," in run_summary(run).title
    del run.cfg.objective.beta  # an objective without one
    assert beta_of(run.cfg) == 1


def test_the_animation_has_a_frame_for_each_epoch_up_to_a_limit(tmp_path: Path) -> None:
    assert draw_animation(tmp_path) == []
    (tmp_path / "epochs").mkdir()
    for epoch in range(1, 131):
        Image.new("L", (90, 60), epoch).save(tmp_path / "epochs" / f"samples_{epoch:04d}.png")
        if epoch in (3, 130):
            (path,) = draw_animation(tmp_path)
            with Image.open(path) as animation:
                assert animation.n_frames == min(epoch, 100) and animation.size == (90, 60 + CAPTION)
                animation.seek(animation.n_frames - 1)
                assert (
                    abs(int(np.asarray(animation.convert("L"))[10, 10]) - epoch) <= 8
                )  # the last frame is the last epoch


def test_a_damaged_frame_is_omitted(tmp_path: Path) -> None:
    (tmp_path / "epochs").mkdir()
    for epoch in (1, 2, 10_000):
        Image.new("L", (90, 60), epoch % 256).save(tmp_path / "epochs" / f"samples_{epoch:04d}.png")
    whole = (tmp_path / "epochs" / "samples_0002.png").read_bytes()
    (tmp_path / "epochs" / "samples_0002.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "epochs" / "samples_mine.png").write_text("not a picture")
    Image.new("L", (90, 60)).save(tmp_path / "epochs" / "samples_0003.png", format="eps")
    Image.new("L", (90, 60)).save(tmp_path / "epochs" / "samples_0004.png", format="gif")
    (path,) = draw_animation(tmp_path)
    with Image.open(path) as animation:
        assert animation.n_frames == 2


def test_a_figure_that_fails_is_logged_and_the_others_are_drawn(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def curves(run: RunSummary) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(run_figures, "FIGURES", [curves if make is run_figures.curves else make for make in FIGURES])
    files = draw_all(run_summary(open_run(trained / "mlp")), tmp_path)
    assert "curves.png could not be drawn: division by zero" in caplog.text
    assert {file.stem for file in files} >= ALWAYS - {"curves"}


def test_a_dataset_named_like_a_formula_can_be_drawn(trained: Path, tmp_path: Path) -> None:
    run = open_run(trained / "mlp")
    run.cfg.data.name = r"a$\frac{b$"
    assert {file.stem for file in draw_all(run_summary(run), tmp_path)} >= ALWAYS


def test_damaged_rows_raise(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("epoch,train/loss\n1,a\n")
    with pytest.raises(RunFolderError, match=r"metrics.csv is damaged"):
        RunFolder(tmp_path).read_rows()


def test_rows_are_read_as_numbers(trained: Path, tmp_path: Path) -> None:
    rows = RunFolder(trained / "mlp").read_rows()
    assert [row["epoch"] for row in rows] == [1, 2, 3] and rows[0]["train/beta"] == 1
    assert RunFolder(tmp_path).read_rows() == []
    assert json.dumps(rows)


def small_run(prior: Prior, channels: int = 1, classes: int = 0, names: tuple[str, ...] = DIGITS) -> RunSummary:
    """An untrained run on twelve images of four classes; 4 to 9 do not occur."""
    torch.manual_seed(0)
    shape = (channels, 6, 5)
    network = MLP(shape, prior.latent_dim + classes, 1, hidden_dims=[8])
    images = torch.randint(0, 256, (12, *shape), dtype=torch.uint8)
    return RunSummary(TITLE, VAE(network, Bernoulli(), prior, classes=classes).eval(), (images, LABELS), names, [], {})


LABELS = torch.arange(12) % 4
TITLE = (
    "conditional resnet, 20 latent dimensions, beta 0.001, iwae objective, full_covariance posterior, on fashion_mnist"
)
LONG = tuple(f"a class with the name {index}" for index in range(4))


@pytest.mark.parametrize(
    ("prior", "channels", "classes", "names"),
    [
        (StandardNormal(1), 1, 0, DIGITS),
        (StandardNormal(1), 1, 4, LONG),
        (StandardNormal(2), 3, 10, FASHION),
        (StandardNormal(7), 3, 0, LONG),
        (Flow(2), 1, 4, DIGITS),
        (Mixture(1), 1, 0, FASHION),
        (Mixture(5), 1, 4, LONG),
        (VampPrior(2, (1, 6, 5), components=3), 1, 0, LONG),
        (VampPrior(3, (3, 6, 5), components=3), 3, 0, DIGITS),
    ],
)
def test_every_text_is_legible_and_inside_its_figure(
    prior: Prior, channels: int, classes: int, names: tuple[str, ...]
) -> None:
    run = small_run(prior, channels, classes, names)
    for make in FIGURES:
        if (figure := make(run)) is None:
            continue
        box, (width, height) = figure.get_tightbbox(FigureCanvasAgg(figure).get_renderer()), figure.get_size_inches()
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height, (make.__name__, box)
        for text in figure.findobj(Text):
            assert text.get_fontsize() >= FONT, (make.__name__, text)


@pytest.mark.parametrize(("ignored", "constant"), [(slice(3, None), 0), (slice(0, 3), 1)])
def test_samples_of_a_conditional_model_have_the_same_codes_under_every_label(ignored: slice, constant: int) -> None:
    run = small_run(StandardNormal(3), classes=4)
    first = next(layer for layer in run.vae.decoder.modules() if isinstance(layer, torch.nn.Linear))
    with torch.no_grad():
        first.weight[:, ignored] = 0  # of the label; of the code
    figure = samples(run)
    assert [text.get_text() for text in figure.texts[1:]] == ["0", "1", "2", "3"]
    cell, gap = 18, 8  # image pixels are enlarged 112 // 6 times
    pixels = np.asarray(figure.axes[0].images[0].get_array())
    across = 5 * cell + gap
    grid = [pixels[y : y + 6 * cell, x : x + 5 * cell] for y in (0, 6 * cell + gap) for x in (0, across)]
    columns, rows = np.allclose(grid[0], grid[2]), np.allclose(grid[0], grid[1])
    assert (columns, rows) == ((True, False) if constant == 0 else (False, True))


def test_traversals_have_the_kl_of_their_dimensions_in_descending_order(trained: Path) -> None:
    run = run_summary(open_run(trained / "mlp"))
    kl = run.vae.prior.kl_per_dimension(run.posterior)
    assert kl is not None
    names = [text.get_text() for text in traversals(run).texts if "nats" in text.get_text()]
    shown = [float(name.split(", ")[1].removesuffix(" nats")) for name in names]
    assert shown == sorted(shown, reverse=True)
    numbers = [int(name.split(",")[0][1:].translate(str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789"))) - 1 for name in names]
    assert shown == pytest.approx(kl.mean(dim=0)[numbers].tolist(), abs=0.005)


@pytest.mark.parametrize(("classes", "expected"), [(0, 100), (4, 0)])
def test_samples_have_draws_of_their_own_unless_they_share_codes(
    classes: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[int] = []

    def estimate_mean(self: Bernoulli, parameters: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        drawn.append(len(parameters))
        return self.mean(parameters)

    monkeypatch.setattr(Bernoulli, "estimate_mean", estimate_mean)
    samples(small_run(StandardNormal(3), classes=classes))
    assert sum(drawn) == expected
