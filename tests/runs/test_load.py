"""Loading a run from its folder, which may be damaged or hostile."""

from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

import mnist_vae
from mnist_vae.config.schema import CONFIGS
from mnist_vae.runs.load import open_run
from mnist_vae.utils.errors import DataError, RunFolderError, SettingsError
from tests.conftest import composed
from tests.synthetic import make_checkpoint


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run's folder with fresh weights, as training would leave it."""
    from mnist_vae.config.build import build_vae

    cfg = composed("latent_dim=3", "model.hidden_dims=[8]")
    torch.manual_seed(0)
    vae = build_vae(cfg, (1, 6, 6))
    (tmp_path / ".hydra").mkdir()
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / ".hydra" / "config.yaml").write_text(OmegaConf.to_yaml(cfg, resolve=True))
    weights = {f"vae.{name}": value for name, value in vae.state_dict().items()}
    for name in ("best", "last"):
        torch.save({"state_dict": weights, "image_shape": [1, 6, 6]}, tmp_path / "checkpoints" / f"{name}.ckpt")
    return tmp_path


def edit(folder: Path, key: str, value: object) -> None:
    path = folder / ".hydra" / "config.yaml"
    cfg = OmegaConf.load(path)
    OmegaConf.update(cfg, key, value, force_add=True)
    path.write_text(OmegaConf.to_yaml(cfg))


@pytest.mark.parametrize("checkpoint", ["best", "last"])
def test_a_run_loads(folder: Path, checkpoint: str) -> None:
    vae = mnist_vae.load_run(folder, checkpoint)
    x = torch.rand(2, 1, 6, 6)
    mean, log_var = vae.encode(x)
    assert mean.shape == log_var.shape == (2, 3)
    assert vae.decode(mean).shape == vae.reconstruct(x).shape == (2, 1, 6, 6)
    assert vae.sample(16).shape == (16, 1, 6, 6)


PARTS = ("model", "likelihood", "prior", "posterior")


@pytest.mark.parametrize(
    ("group", "name"), [(group, path.stem) for group in PARTS for path in sorted((CONFIGS / group).glob("*.yaml"))]
)
def test_runs_of_every_choice_load(group: str, name: str, tmp_path: Path) -> None:
    needed = {"ladder": "prior=hierarchical", "autoregressive": "data.binarize=dynamic"}.get(name, "seed=0")
    cfg = composed("data=digits", "latent_dim=4", f"{group}={name}", needed)
    make_checkpoint(tmp_path / "run", cfg)
    (tmp_path / "run" / ".hydra").mkdir()
    (tmp_path / "run" / ".hydra" / "config.yaml").write_text(OmegaConf.to_yaml(cfg, resolve=True))
    vae = open_run(tmp_path / "run").vae
    images = vae.sample(2, torch.Generator().manual_seed(0))
    assert images.shape == (2, *vae.image_shape) and images.isfinite().all()
    posterior = vae.encode(images)
    assert posterior.mean.isfinite().all() and posterior.log_var.isfinite().all()


@pytest.mark.parametrize("group", ["model", "likelihood", "prior"])
@pytest.mark.parametrize("target", ["os.system", "subprocess.Popen", "torch.hub.load", "mnist_vae.runs.load.load_run"])
def test_a_hostile_target_is_not_called(folder: Path, tmp_path: Path, group: str, target: str) -> None:
    mark = tmp_path / "owned"
    edit(folder, group, {"_target_": target, "command": f"touch {mark}", "args": ["touch", str(mark)]})
    with pytest.raises(SettingsError, match="here only classes from"):
        mnist_vae.load_run(folder)
    assert not mark.exists()


def test_a_hostile_target_inside_an_argument_is_not_called(folder: Path, tmp_path: Path) -> None:
    mark = tmp_path / "owned"
    edit(folder, "model.activation", {"_target_": "os.system", "command": f"touch {mark}"})
    with pytest.raises(SettingsError, match=r"model.activation"):
        mnist_vae.load_run(folder)
    assert not mark.exists()


@pytest.mark.parametrize("value", ["\\x24{oc.env:HOME}", "${oc.env:HOME}", "${oc.decode:'[8]'}", "${now:%Y}"])
def test_a_config_with_resolvers_is_refused(folder: Path, value: str) -> None:
    path = folder / ".hydra" / "config.yaml"
    path.write_text(path.read_text() + f'extra: "{value}"\n')
    with pytest.raises(RunFolderError, match="interpolation"):
        mnist_vae.load_run(folder)


def test_yaml_tags_are_not_run(folder: Path, tmp_path: Path) -> None:
    mark = tmp_path / "owned"
    (folder / ".hydra" / "config.yaml").write_text(f"x: !!python/object/apply:os.system ['touch {mark}']\n")
    with pytest.raises(RunFolderError, match="can't be read"):
        mnist_vae.load_run(folder)
    assert not mark.exists()


class Hostile:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return (Path.touch, (self.mark,))


def test_a_hostile_checkpoint_is_not_run(folder: Path, tmp_path: Path) -> None:
    mark = tmp_path / "owned"
    torch.save({"state_dict": Hostile(mark), "image_shape": [1, 6, 6]}, folder / "checkpoints" / "best.ckpt")
    with pytest.raises(RunFolderError, match="not loaded"):
        mnist_vae.load_run(folder)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("key", "value"),
    [("latent_dim", 5), ("model.hidden_dims", [9]), ("model._target_", "mnist_vae.models.networks.conv.Conv")],
)
def test_weights_of_another_config_are_reported(folder: Path, key: str, value: object) -> None:
    edit(folder, key, value)
    with pytest.raises((RunFolderError, SettingsError), match=r"does not fit|no such key"):
        mnist_vae.load_run(folder)


@pytest.mark.parametrize("content", [[1, 2], {"state_dict": 3, "image_shape": [1]}, {}, {"image_shape": "x"}])
def test_a_checkpoint_of_something_else_is_reported(folder: Path, content: object) -> None:
    torch.save(content, folder / "checkpoints" / "best.ckpt")
    with pytest.raises(RunFolderError, match=r"not a checkpoint|does not fit"):
        mnist_vae.load_run(folder)


def test_what_is_not_there_is_reported(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="nowhere: there is no such folder"):
        mnist_vae.load_run(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunFolderError, match="is not a run folder"):
        mnist_vae.load_run(tmp_path / "empty")
    with pytest.raises(RunFolderError, match="must be 'best' or 'last'"):
        mnist_vae.load_run(folder, "worst")
    (folder / "checkpoints" / "best.ckpt").unlink()
    with pytest.raises(RunFolderError, match="from the end of its first epoch"):
        mnist_vae.load_run(folder)


def test_a_config_that_would_expand_without_end_is_refused(folder: Path) -> None:
    levels = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 8))
    path = folder / ".hydra" / "config.yaml"
    path.write_text(path.read_text() + "a0: &a0 [1]\n" + levels)
    with pytest.raises(RunFolderError, match="alias"):
        mnist_vae.load_run(folder)


def test_changed_weights_are_refused(folder: Path) -> None:
    path = folder / "checkpoints" / "best.ckpt"
    weight = torch.load(path, weights_only=True)["state_dict"]["vae.to_posterior.weight"].numpy().tobytes()
    content = path.read_bytes()
    assert content.count(weight) == 1
    path.write_bytes(content.replace(weight, bytes(255 - byte for byte in weight)))
    with pytest.raises(RunFolderError, match="damaged"):
        mnist_vae.load_run(folder)


def test_an_open_run_has_its_typed_config_and_its_epochs(folder: Path) -> None:
    content = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)
    torch.save(content | {"epoch": 4}, folder / "checkpoints" / "best.ckpt")
    run = open_run(folder)
    assert run.epochs == 5 and run.checkpoint == "best" and run.cfg.data.binarize.name == "none"


def test_runs_of_another_layout_are_reported(folder: Path) -> None:
    path = folder / ".hydra" / "config.yaml"
    whole = OmegaConf.load(path)
    for name in ("likelihood", "seed"):
        path.write_text(OmegaConf.to_yaml({key: value for key, value in whole.items() if key != name}))
        with pytest.raises(RunFolderError, match=rf"made by another version .*its config has no {name}\)"):
            open_run(folder)
    path.write_text(OmegaConf.to_yaml(OmegaConf.merge(whole, {"dropout": 0.1})))
    with pytest.raises(RunFolderError, match=r"another version.*dropout"):
        open_run(folder)
    path.write_text(OmegaConf.to_yaml(whole))
    checkpoint = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)
    torch.save({"state_dict": checkpoint["state_dict"]}, folder / "checkpoints" / "best.ckpt")
    with pytest.raises(RunFolderError, match=r"another version.*how large its images are"):
        open_run(folder)


@pytest.mark.parametrize(("key", "value", "message"), [("objective", 3, "its objective is not"), ("lr", -1, "lr=-1")])
def test_damaged_configs_are_reported(folder: Path, key: str, value: object, message: str) -> None:
    edit(folder, key, value)
    with pytest.raises((RunFolderError, SettingsError), match=message):
        open_run(folder)


def test_weights_that_are_no_numbers_are_reported(folder: Path) -> None:
    content = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)
    content["state_dict"]["vae.to_posterior.bias"][0] = float("nan")
    torch.save(content, folder / "checkpoints" / "best.ckpt")
    with pytest.raises(RunFolderError, match="not finite numbers; training diverged"):
        open_run(folder)


def digits(folder: Path) -> None:
    """Make it a run on the embedded digits."""
    source = {"_target_": "mnist_vae.data.digits.DigitsSource"}
    edit(folder, "data", {"name": "digits", "root": "data", "val_size": 200, "binarize": "threshold"})
    path = folder / ".hydra" / "config.yaml"
    cfg = OmegaConf.load(path)
    cfg.data.source = source
    path.write_text(OmegaConf.to_yaml(cfg))


def test_an_open_run_has_its_images(folder: Path) -> None:
    digits(folder)
    data = open_run(folder).data()
    assert len(data.train_split[0]) == 1300 and len(data.val_split[0]) == 200
    assert len(open_run(folder).data(val_size=0).train_split[0]) == 1500
    for split, count in (("train", 1300), ("val", 200), ("test", 297)):
        images, labels = data.fixed(split)
        assert len(images) == len(labels) == count and set(images.unique().tolist()) == {0, 255}


@pytest.mark.parametrize("target", ["os.system", "mnist_vae.runs.load.open_run", "mnist_vae.data.mnist.read_idx"])
def test_a_hostile_source_is_not_called(folder: Path, tmp_path: Path, target: str) -> None:
    mark = tmp_path / "owned"
    edit(folder, "data.source", {"_target_": target, "command": f"touch {mark}", "folder": str(mark)})
    with pytest.raises(SettingsError, match=r"data.source._target_.*only classes from mnist_vae.data"):
        open_run(folder).data()
    assert not mark.exists()


def test_images_are_looked_for_where_one_says_else_where_the_run_had_them_else_here(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And never at an address that the run's folder names."""
    asked = []

    class Source:
        def __init__(self, dataset: str, root: str, mirror: str | None = None) -> None:
            asked.append((dataset, root, mirror))
            raise DataError("looked")

        def load(self) -> None: ...

    Source.__module__ = "mnist_vae.data.mnist"
    monkeypatch.setattr("mnist_vae.data.mnist.TorchvisionSource", Source)
    monkeypatch.setenv("MNIST_VAE_DATA", "/from/the/environment")
    edit(folder, "data.source.mirror", "http://mirror.example")
    edit(folder, "data.root", str(tmp_path))
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte.gz"):
        (raw / name).touch()
    for root in ("/given", None):  # of the run's own folder one file is missing
        with pytest.raises(Exception, match="looked"):
            open_run(folder).data(root)
    (raw / "t10k-labels-idx1-ubyte").touch()
    with pytest.raises(Exception, match="looked"):
        open_run(folder).data()
    assert asked == [("MNIST", root, None) for root in ("/given", "/from/the/environment", str(tmp_path))]
