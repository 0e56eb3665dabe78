"""Exported files reproduce the outputs of torch with any batch size, and incorrect ones are not written."""

import atexit
import copy
import functools
import json
import logging
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

import mnist_vae
from mnist_vae.analysis import export
from mnist_vae.analysis.export import ExportedFile, ExportError, export_vae
from mnist_vae.config.build import build_vae
from mnist_vae.models.vae import VAE
from mnist_vae.training.train import train
from tests.conftest import ROOT, TINY, composed, forked

FILES = ["decoder.onnx", "encoder.onnx", "vae.safetensors"]
ABOUT = {"trained_on": "digits"}
MLP = ("model.hidden_dims=[8]",)
CONV = ("model=conv", "model.channels=[2,3]", "model.hidden_dim=8", "model.activation=gelu")


def untrained_vae(*overrides: str, image_shape: tuple[int, int, int] = (1, 9, 6)) -> VAE:
    torch.manual_seed(0)
    return build_vae(composed("latent_dim=3", *overrides), image_shape, classes=4).eval()


def onnx_outputs(file: Path, outputs: list[str], **inputs: torch.Tensor) -> list[torch.Tensor]:
    """Outputs of an ONNX file by onnxruntime."""
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    found = session.run(outputs, {name: value.numpy() for name, value in inputs.items()})
    return [torch.from_numpy(value) for value in found]


@functools.cache
def exported(*overrides: str) -> tuple[VAE, Path, list[ExportedFile]]:
    """An untrained VAE with a clamped log-variance, and the folder and files of its export, not to be written into."""
    vae = untrained_vae(*overrides)
    nn.init.constant_(vae.to_posterior.bias[-1:].detach(), 50.0)
    place = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, place)
    return vae, place / "export", export_vae(vae, place / "export", ABOUT)


def compare(vae: VAE, folder: Path, batch_size: int) -> None:
    x, z = torch.rand(batch_size, *vae.image_shape), torch.randn(batch_size, vae.latent_dim)
    labels = torch.arange(batch_size) % 4
    with torch.no_grad():
        posterior = vae.encode(x, labels)
        expected = [posterior.mean, posterior.log_var, vae.decode(z, labels)]
    condition = {"labels": labels} if vae.classes else {}
    found = onnx_outputs(folder / "encoder.onnx", ["mean", "log_var"], x=x, **condition)
    found += onnx_outputs(folder / "decoder.onnx", ["images"], z=z, **condition)
    for theirs, ours in zip(found, expected, strict=True):
        torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-5)


RESNET = ("model=resnet", "model.channels=[2,3]", "conditional=true", "posterior=full_covariance", "prior=flow")
CONSTANT = (*MLP, "posterior=constant")
GREY = (*MLP, "likelihood=discretized_logistic", "conditional=true")


@pytest.mark.parametrize(
    "overrides", [MLP, CONV, RESNET, CONSTANT, GREY], ids=["mlp", "conv", "resnet", "constant", "grey"]
)
def test_exported_files_reproduce_the_outputs_of_torch(overrides: tuple[str, ...]) -> None:
    vae, folder, files = exported(*overrides)
    assert sorted(path.name for path in folder.iterdir()) == FILES
    assert [path.name for path in folder.parent.iterdir()] == ["export"]
    assert all(file.size == file.path.stat().st_size and file.difference < 1e-5 for file in files)
    for batch_size in (1, 2, 13):
        compare(vae, folder, batch_size)


@pytest.mark.parametrize(
    "parts", [("posterior=iaf",), ("prior=hierarchical", "posterior=ladder")], ids=["iaf", "ladder"]
)
def test_of_posteriors_without_a_variance_in_closed_form_the_mean_is_exported(
    parts: tuple[str, ...], tmp_path: Path
) -> None:
    vae = untrained_vae(*MLP, *parts)
    for parameter in vae.parameters():
        nn.init.normal_(parameter, std=0.2)
    export_vae(vae, tmp_path / "export", {})
    x = torch.rand(5, *vae.image_shape)
    (found,) = onnx_outputs(tmp_path / "export" / "encoder.onnx", ["mean"], x=x)
    with torch.no_grad():
        torch.testing.assert_close(found, vae.encode(x).mean, rtol=1e-4, atol=1e-5)


def test_files_have_metadata_and_no_local_paths() -> None:
    vae, folder, _ = exported(*CONV)
    about = {"latent_dim": "3", "image_shape": "[1, 9, 6]", **ABOUT}
    shapes = {"encoder.onnx": ["batch", 1, 9, 6], "decoder.onnx": ["batch", 3]}
    for name, shape in shapes.items():
        model = onnx.load(folder / name)
        assert {entry.key: entry.value for entry in model.metadata_props} == about
        [entry] = model.graph.input
        assert [dim.dim_param or dim.dim_value for dim in entry.type.tensor_type.shape.dim] == shape
        assert str(ROOT).encode() not in model.SerializeToString()
    weights = load_file(folder / "vae.safetensors")
    assert weights.keys() == vae.state_dict().keys()
    assert all(torch.equal(weights[name], value) for name, value in vae.state_dict().items())
    with safe_open(folder / "vae.safetensors", "pt") as file:
        assert file.metadata() == about


def test_export_has_no_side_effects(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Model, random number generator and logging are unchanged, and nothing is printed."""
    vae = untrained_vae(*MLP).train()
    generator, before = torch.get_rng_state(), {name: w.clone() for name, w in vae.state_dict().items()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        export_vae(vae, tmp_path / "export", {})
    assert all(module.training for module in vae.modules())
    assert all(torch.equal(before[name], w) for name, w in vae.state_dict().items())
    assert all(parameter.requires_grad for parameter in vae.parameters())
    assert torch.equal(generator, torch.get_rng_state())
    assert logging.root.manager.disable == logging.NOTSET
    assert capfd.readouterr() == ("", "")


def test_images_made_one_pixel_after_the_other_are_refused(tmp_path: Path) -> None:
    vae = untrained_vae(*MLP, "likelihood=autoregressive")
    with pytest.raises(ExportError, match="the likelihood Autoregressive cannot be exported: its images are made one"):
        export_vae(vae, tmp_path / "export", {})
    assert not list(tmp_path.iterdir())


class RandomOutput(nn.Module):
    """Layer with a different output at each call, which no file can reproduce."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.rand_like(x)


class FixedBatchSize(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.view(2, -1)


@pytest.mark.parametrize(
    ("layer", "sentence"), [(RandomOutput(), "mean of encoder"), (FixedBatchSize(), "cannot be exported")]
)
def test_a_failed_export_leaves_no_files(layer: nn.Module, sentence: str, tmp_path: Path) -> None:
    vae = untrained_vae(*MLP)
    vae.encoder = nn.Sequential(vae.encoder, layer)
    with pytest.raises(ExportError, match=sentence):
        export_vae(vae, tmp_path / "export", {})
    assert not list(tmp_path.iterdir())


def test_a_failed_export_keeps_the_earlier_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vae, folder, _ = exported(*MLP)
    shutil.copytree(folder, tmp_path / "export")
    before = {path.name: path.read_bytes() for path in (tmp_path / "export").iterdir()}
    vae = copy.deepcopy(vae)
    nn.init.zeros_(vae.to_posterior.weight)

    def truncated(weights: dict[str, torch.Tensor], about: dict[str, str]) -> bytes:
        from safetensors.torch import save_file

        save_file(dict(list(weights.items())[1:]), tmp_path / "elsewhere", about)
        return (tmp_path / "elsewhere").read_bytes()

    monkeypatch.setattr("safetensors.torch.save", truncated)
    with pytest.raises(ExportError, match=r"vae.safetensors differs"):
        export_vae(vae, tmp_path / "export", {})
    assert {path.name: path.read_bytes() for path in (tmp_path / "export").iterdir()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "export"]


@pytest.mark.parametrize("wrong", [float("nan"), 1e-3])
def test_differences_above_the_tolerance_raise(wrong: float) -> None:
    expected = torch.tensor([[0.5, -2.0]])
    assert export._difference("mean", expected + 1e-6, expected) == pytest.approx(1e-6, rel=0.1)
    with pytest.raises(ExportError, match="mean would differ"):
        export._difference("mean", expected + wrong, expected)
    with pytest.raises(ExportError, match="mean would be of shape"):
        export._difference("mean", expected[0], expected)


@pytest.mark.parametrize("package", export.PACKAGES)
def test_a_missing_package_raises(package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # makes its import fail
    with pytest.raises(ExportError, match=rf'needs {package} .*pip install -e "\.\[export\]"'):
        export_vae(untrained_vae(*MLP), tmp_path / "export", {})


@pytest.mark.usefixtures("undrawn")
def test_the_script_exports_a_run(tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(composed(*TINY, "callbacks=none", "logger=none"), run)
    done = forked(f"run={run}", "checkpoint=last", script="scripts/export.py")
    assert (done.returncode, done.stderr) == (0, "")
    assert all(f"\n{name}" in done.stdout for name in FILES) and str(run / "export_last") in done.stdout
    compare(mnist_vae.load_run(run, "last"), run / "export_last", 5)
    with safe_open(run / "export_last" / "vae.safetensors", "pt") as file:
        about = file.metadata()
    assert json.loads(about["model"])["hidden_dims"] == [16]
    assert (about["checkpoint"], about["epochs"]) == ("last", "2")
