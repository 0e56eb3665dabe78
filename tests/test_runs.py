"""Loading a run, whoever made its folder."""

from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

import mnist_vae
from mnist_vae.errors import RunFolderError, SettingsError
from tests.conftest import composed


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run's folder with fresh weights, as training would leave it."""
    from mnist_vae.building import build_vae

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


@pytest.mark.parametrize("group", ["model", "likelihood", "prior"])
@pytest.mark.parametrize("target", ["os.system", "subprocess.Popen", "torch.hub.load", "mnist_vae.runs.load_run"])
def test_a_hostile_target_is_not_called(folder: Path, tmp_path: Path, group: str, target: str) -> None:
    mark = tmp_path / "owned"
    edit(folder, group, {"_target_": target, "command": f"touch {mark}", "args": ["touch", str(mark)]})
    with pytest.raises(SettingsError, match="only torch modules"):
        mnist_vae.load_run(folder)
    assert not mark.exists()


def test_a_hostile_target_inside_an_argument_is_not_called(folder: Path, tmp_path: Path) -> None:
    mark = tmp_path / "owned"
    edit(folder, "model.activation", {"_target_": "os.system", "command": f"touch {mark}"})
    with pytest.raises(SettingsError, match=r"model.activation"):
        mnist_vae.load_run(folder)
    assert not mark.exists()


@pytest.mark.parametrize("value", ["${oc.env:HOME}", "${oc.decode:'[8]'}", "${now:%Y}"])
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
    [("latent_dim", 5), ("model.hidden_dims", [9]), ("model._target_", "mnist_vae.networks.conv.Conv")],
)
def test_weights_of_another_config_are_told(folder: Path, key: str, value: object) -> None:
    edit(folder, key, value)
    with pytest.raises((RunFolderError, SettingsError), match=r"does not fit|no such key"):
        mnist_vae.load_run(folder)


@pytest.mark.parametrize("content", [[1, 2], {"state_dict": 3, "image_shape": [1]}, {}, {"image_shape": "x"}])
def test_a_checkpoint_of_something_else_is_told(folder: Path, content: object) -> None:
    torch.save(content, folder / "checkpoints" / "best.ckpt")
    with pytest.raises(RunFolderError, match=r"not a checkpoint|does not fit"):
        mnist_vae.load_run(folder)


def test_what_is_not_there_is_told(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="is not a run folder"):
        mnist_vae.load_run(tmp_path / "nowhere")
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


def test_changed_weights_are_noticed(folder: Path) -> None:
    path = folder / "checkpoints" / "best.ckpt"
    weight = torch.load(path, weights_only=True)["state_dict"]["vae.to_posterior.weight"].numpy().tobytes()
    content = path.read_bytes()
    assert content.count(weight) == 1
    path.write_bytes(content.replace(weight, bytes(255 - byte for byte in weight)))
    with pytest.raises(RunFolderError, match="damaged"):
        mnist_vae.load_run(folder)
