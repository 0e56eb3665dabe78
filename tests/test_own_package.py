"""Parts in a package outside this repository: trained, swept, resumed and opened like built-in ones.

Its images are neither square nor grey.
"""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

import mnist_vae
from mnist_vae.config.instantiate import SAFE_MODULES, check_safe, packages_of
from mnist_vae.utils.errors import DataError, SettingsError
from tests.conftest import ROOT, Done, command, forked

CODE = '''
import json
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger
from torch import nn

from mnist_vae.data.images import ImageArrays
from mnist_vae.models.networks.base import Network
from mnist_vae.models.priors.base import Prior
from mnist_vae.objectives.base import Terms


class Bars:
    """Coloured bars: the label is the place of the bar."""

    def __init__(self, count: int):
        self.count = count

    def load(self):
        labels = torch.arange(2 * self.count) % 4
        images = torch.randint(0, 60, (len(labels), 3, 12, 20), generator=torch.Generator().manual_seed(0)).byte()
        for image, label in zip(images, labels):
            image[label % 3, :, 5 * label : 5 * label + 5] = 250
        n = self.count
        return ImageArrays(images[:n], labels[:n], images[n:], labels[n:], ("first", "second", "third", "fourth"))


class Inverted:
    """The images of another source, with black and white exchanged."""

    def __init__(self, source):
        self.source = source

    def load(self):
        arrays = self.source.load()
        return arrays._replace(train_images=255 - arrays.train_images, test_images=255 - arrays.test_images)


class Wide(Network):
    def __init__(self, image_shape, latent_dim, parameters_per_value, width: int, activation: nn.Module | None = None):
        super().__init__(image_shape, latent_dim, parameters_per_value)
        self.features = width
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(self.pixels, width), activation or nn.ReLU())
        self.decoder = nn.Sequential(
            nn.Linear(latent_dim, width),
            activation or nn.ReLU(),
            nn.Linear(width, parameters_per_value * self.pixels),
            nn.Unflatten(1, self.output_shape),
        )


class Double(nn.Module):
    def forward(self, x):
        return 2 * x.relu()


class Scaled(Prior):
    def __init__(self, latent_dim: int, scale: float):
        super().__init__(latent_dim)
        self.scale = scale

    def log_prob(self, z):
        return torch.distributions.Normal(0.0, self.scale).log_prob(z).sum(dim=-1)

    def sample(self, count, generator=None, temperature=1.0):
        return temperature * self.scale * torch.randn(count, self.latent_dim, generator=generator)


def weighted(vae, x, labels, epoch, noise, weight: float) -> Terms:
    reconstruction, kl = vae.elbo_terms(x, noise, labels)
    return Terms(reconstruction + weight * kl, reconstruction, kl)


class Note(pl.Callback):
    def on_train_epoch_end(self, trainer, pl_module):
        pl_module.log("val/noted", 1.0)


class Lines(Logger):
    name, version = "lines", ""

    def __init__(self, folder: str):
        super().__init__()
        self.path = Path(folder, "lines.txt")

    def log_metrics(self, metrics, step=None):
        with self.path.open("a") as file:
            print(step, sorted(metrics), file=file)

    def log_hyperparams(self, params, *args, **kwargs):
        pass
'''
CONFIGS = {
    "data/bars": """
name: bars
root: nowhere
val_size: 40
binarize: none
source: {_target_: my_vae.parts.Bars, count: 200}
""",
    "model/wide": """
_target_: my_vae.parts.Wide
width: 32
activation: {_target_: my_vae.parts.Double}
""",
    "prior/scaled": "{_target_: my_vae.parts.Scaled, scale: 1.5}",
    "objective/weighted": "{_target_: my_vae.parts.weighted, weight: 0.7}",
    "callbacks/note": "{defaults: [default], note: {_target_: my_vae.parts.Note}}",
    "logger/lines": "{lines: {_target_: my_vae.parts.Lines}}",
}
SMALL = ["data=bars", "batch_size=40", "latent_dim=3", "max_epochs=2", "accelerator=cpu"]
PARTS = ["model=wide", "prior=scaled", "objective=weighted", "callbacks=note", "logger=[tensorboard,lines]"]


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package `my_vae` and its `conf`."""
    folder = tmp_path_factory.mktemp("mine")
    (folder / "my_vae").mkdir()
    (folder / "my_vae" / "parts.py").write_text(CODE)
    for name, text in CONFIGS.items():
        file = folder / "conf" / f"{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder


def train(mine: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """`PYTHONPATH=. python train.py --config-dir conf <words>` in the folder `mine`."""
    return forked(
        "--config-dir",
        "conf",
        *SMALL,
        *words,
        cwd=mine,
        before=f"sys.path.insert(0, {str(mine)!r})",
        PYTHONPATH=str(mine),
    )


@pytest.fixture(scope="module")
def run(mine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete run of all parts; one epoch of it was trained by another command than the rest."""
    folder = tmp_path_factory.mktemp("runs") / "mine"
    words = [*PARTS, "schedule=constant", f"hydra.run.dir={folder}"]
    for epochs in (1, 2):
        done = train(mine, *words, f"max_epochs={epochs}")
        assert done.returncode == 0 and not done.stderr, done.stderr
    return folder


def test_a_run_of_own_parts_trains_and_resumes(run: Path) -> None:
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["epochs"] == 2 and metrics["extended_from"] == 1 and metrics["dataset"] == "bars"
    assert "val/noted" in (run / "metrics.csv").read_text() and (run / "lines.txt").exists()
    assert {"results", "samples", "latent_space", "traversals"} <= {
        file.stem for file in (run / "figures").glob("*.png")
    }


def test_it_is_opened_only_with_trust(run: Path, mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(mine))
    with pytest.raises(SettingsError, match=r"_target_=my_vae\.parts\.\w+: a run's folder can come .* trust=my_vae "):
        mnist_vae.load_run(run)
    with pytest.raises(SettingsError, match=r"trust=my_vae "):
        mnist_vae.load_run(run, trust=["other"])
    vae = mnist_vae.load_run(run, trust=["my_vae"])
    images, labels = mnist_vae.open_run(run, trust=["my_vae"]).images()
    assert images.shape == (200, 3, 12, 20) and labels.max() == 3
    assert vae.reconstruct(images[:5]).shape == (5, 3, 12, 20) and vae.sample(2).shape == (2, 3, 12, 20)


TOOLS = [
    ("evaluate", "nll.samples=4"),
    ("generate", "count=4"),
    ("generate", "like=1,2"),
    ("encode",),
    ("figures",),
    ("export",),
    ("fit_prior", "density=gmm", "components=2"),
]


@pytest.mark.parametrize("words", TOOLS, ids=" ".join)
def test_the_tools_take_it_with_trust(
    words: tuple[str, ...], run: Path, mine: Path, tool: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(mine))
    refused = tool(words[0], f"run={run}", *words[1:])
    assert refused.returncode == 1 and "allow its package by trust=my_vae" in refused.stderr
    done = tool(words[0], f"run={run}", *words[1:], "trust=my_vae")
    assert done.returncode == 0 and not done.stderr, done.stderr


@pytest.mark.parametrize("launcher", ["serial", pytest.param("joblib", marks=pytest.mark.slow)])
def test_own_parts_are_swept(launcher: str, mine: Path, tmp_path: Path, tool: Callable[..., Done]) -> None:
    words = ["-m", "model=wide,mlp", "max_epochs=1", f"launcher={launcher}", f"hydra.sweep.dir={tmp_path}"]
    done = command(
        "--config-dir", "conf", *SMALL, *words, script=str(ROOT / "train.py"), cwd=mine, PYTHONPATH=str(mine)
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    frame = mnist_vae.load_sweep(tmp_path).to_dataframe()
    assert sorted(frame["model"]) == ["mlp", "wide"] and set(frame["state"]) == {"complete"}
    assert tool("report", f"sweep={tmp_path}").returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "likelihood"), [("mlp", "gaussian"), ("conv", "bernoulli"), ("resnet", "discretized_logistic")]
)
def test_coloured_images_work_with_the_built_in_parts(
    model: str, likelihood: str, mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(mine))
    small = {"mlp": "hidden_dims=[16]", "conv": "channels=[4,8]", "resnet": "channels=[4,8]"}[model]
    words = [*SMALL, f"model={model}", f"model.{small}", f"likelihood={likelihood}", "max_epochs=1", "prior=vamp"]
    run = mnist_vae.train(words, tmp_path / "run", config_dir=mine / "conf")
    assert run.vae.sample(3).shape == (3, 3, 12, 20) and torch.isfinite(run.vae.sample(3)).all()
    assert set(run.figures) >= {"results", "pseudo_inputs"}


def test_trust_does_not_extend_to_addresses_for_the_projects_own_sources(
    run: Path, mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trusted source that wraps one of this project, in a stranger's folder."""
    monkeypatch.syspath_prepend(str(mine))
    monkeypatch.setenv("MNIST_VAE_DATA", str(tmp_path / "mine"))
    asked = []
    monkeypatch.setattr("mnist_vae.data.mnist.download", lambda *words, **named: asked.append(str((words, named))))
    folder = Path(shutil.copytree(run, tmp_path / "run"))
    theirs = {
        "_target_": "mnist_vae.data.mnist.TorchvisionSource",
        "dataset": "MNIST",
        "root": str(tmp_path / "theirs"),
    }
    file = folder / ".hydra" / "config.yaml"
    cfg = OmegaConf.load(file)
    cfg.data.source = {"_target_": "my_vae.parts.Inverted", "source": {**theirs, "mirror": "http://mirror.example"}}
    file.write_text(OmegaConf.to_yaml(cfg))
    with pytest.raises(DataError):
        mnist_vae.open_run(folder, trust=["my_vae"]).images()
    assert not (tmp_path / "theirs").exists() and "mirror.example" not in "".join(asked)
    cfg.data.source.source = {"_target_": theirs["_target_"], "_args_": ["MNIST", str(tmp_path / "theirs")]}
    file.write_text(OmegaConf.to_yaml(cfg))
    with pytest.raises(SettingsError, match=r"data\.source\.source\._args_: .* here arguments have names"):
        mnist_vae.open_run(folder, trust=["my_vae"]).images()


def test_a_part_that_was_defined_elsewhere_is_named_by_its_home(run: Path, mine: Path, tmp_path: Path) -> None:
    node = OmegaConf.create({"_target_": "my_vae.parts.nn.GELU"})
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(mine))
        with pytest.raises(SettingsError, match=r"allow its package by trust=torch "):
            check_safe("model", node, SAFE_MODULES, ["my_vae"])
        check_safe("model", node, SAFE_MODULES, ["my_vae", "torch"])
        assert packages_of(OmegaConf.create({"model": node})) == ["my_vae", "torch"]
