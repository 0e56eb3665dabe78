"""Export of a trained VAE to ONNX and safetensors, with a check of each file against torch."""

import contextlib
import copy
import importlib
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mnist_vae.models.posteriors import GAUSSIANS
from mnist_vae.models.vae import VAE
from mnist_vae.utils.errors import UserError, first_line
from mnist_vae.utils.io import write_atomically

PACKAGES = ("onnx", "onnxscript", "onnxruntime", "safetensors")
BATCH_SIZES = (1, 2, 7)
# Relative to the largest output, or to 1. Another order of summation causes differences of about 1e-6.
TOLERANCE = 1e-4
REFUSED = "nothing was written. Other versions of torch, onnxscript or onnxruntime may not have this problem."


class ExportError(UserError):
    """A required package is missing, or the exported files would not reproduce the model's outputs."""


class ExportedFile(NamedTuple):
    """One exported file.

    Attributes:
        path: its path.
        size: size in bytes.
        difference: largest absolute difference of its outputs (or weights) from those of torch.
    """

    path: Path
    size: int
    difference: float


class OnnxPart(NamedTuple):
    """Part of a VAE that is exported to one ONNX file.

    Attributes:
        module: module from tensors to a tuple of tensors, all of shape (batch, ...).
        inputs: names of the inputs, in order, each with a function from batch size and generator to a random input.
        outputs: names of the outputs.
    """

    module: nn.Module
    inputs: dict[str, Callable[[int, torch.Generator], Tensor]]
    outputs: tuple[str, ...]

    def draw(self, batch_size: int, seed: int) -> dict[str, Tensor]:
        """Draw random inputs, by name, each (batch_size, ...)."""
        generator = torch.Generator().manual_seed(seed)
        return {name: draw(batch_size, generator) for name, draw in self.inputs.items()}


class Encoder(nn.Module):
    """Images (batch, channels, height, width) in [0, 1] -> mean of q(z|x), and log_var where it has a closed form, each
    (batch, latent_dim); for a conditional VAE, images and their labels (batch,) int64."""

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.vae = vae

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs."""
        return ("mean", "log_var") if issubclass(self.vae.to_posterior.family, GAUSSIANS) else ("mean",)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> tuple[Tensor, ...]:
        posterior = self.vae.encode(x, labels)
        return tuple(getattr(posterior, name) for name in self.outputs)


class Decoder(nn.Module):
    """Codes (batch, latent_dim) -> images E[x|z] (batch, channels, height, width) in [0, 1]; for a conditional VAE,
    codes and labels (batch,) int64."""

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, z: Tensor, labels: Tensor | None = None) -> tuple[Tensor]:
        return (self.vae.decode(z, labels),)


def require_packages() -> None:
    """Check that the packages of the extra `export` are installed.

    Raises:
        ExportError: naming the package that cannot be imported.
    """
    for name in PACKAGES:
        try:
            importlib.import_module(name)
        except ImportError as error:
            reason = first_line(error)
            raise ExportError(f'export needs {name} ({reason}); install it by: pip install -e ".[export]"') from error


def export_vae(vae: VAE, folder: Path, metadata: Mapping[str, str]) -> list[ExportedFile]:
    """Write encoder.onnx, decoder.onnx and vae.safetensors; if the check of one of them fails, none is written.

    Args:
        vae: the model, which is not modified.
        folder: destination, created if it does not exist; its parent must exist. An earlier export is replaced.
        metadata: entries for the files' metadata, in addition to latent_dim and image_shape.

    Raises:
        ExportError: a package is missing, an operation has no ONNX counterpart, or a file's outputs differ from
            torch's.
    """
    require_packages()
    vae = copy.deepcopy(vae).cpu().eval()
    metadata = {"latent_dim": str(vae.latent_dim), "image_shape": json.dumps(vae.image_shape), **metadata}
    # Beside the folder rather than in it, so that a failure leaves no empty folder.
    with TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as staging:
        with named_errors():
            files = [export_onnx(part, Path(staging, f"{name}.onnx"), metadata) for name, part in parts(vae).items()]
            files.append(_export_weights(vae, Path(staging, "vae.safetensors"), metadata))
        folder.mkdir(exist_ok=True)
        return [file._replace(path=file.path.replace(folder / file.path.name)) for file in files]


def parts(vae: VAE) -> dict[str, OnnxPart]:
    """Encoder and decoder by name, with their inputs and outputs.

    Raises:
        ExportError: the likelihood's mean is computed one pixel after the other.
    """
    if vae.likelihood.sequential:
        raise ExportError(
            f"a decoder with the likelihood {type(vae.likelihood).__name__} cannot be exported: its images are made "
            "one pixel after the other, and an ONNX file holds one pass through the network."
        )
    given: dict[str, Callable[[int, torch.Generator], Tensor]] = {}
    if vae.classes:
        given["labels"] = lambda n, generator: torch.randint(vae.classes, (n,), generator=generator)
    images = {"x": lambda n, generator: torch.rand(n, *vae.image_shape, generator=generator)}
    codes = {"z": lambda n, generator: torch.randn(n, vae.latent_dim, generator=generator)}
    encoder = Encoder(vae)
    return {
        "encoder": OnnxPart(encoder, images | given, encoder.outputs),
        "decoder": OnnxPart(Decoder(vae), codes | given, ("images",)),
    }


def export_onnx(part: OnnxPart, path: Path, metadata: Mapping[str, str]) -> ExportedFile:
    """Write a part to an ONNX file and compare its outputs with torch's.

    Raises:
        ExportError: they differ.
    """
    import onnx

    model = _to_onnx(part)
    model.doc_string = part.module.__doc__
    onnx.helper.set_model_props(model, dict(metadata))
    write_atomically(path, model.SerializeToString())
    onnx.checker.check_model(path, full_check=True)
    return ExportedFile(path, path.stat().st_size, _onnx_difference(part, path))


def _to_onnx(part: OnnxPart) -> Any:
    """Convert a part to an onnx.ModelProto with a dynamic batch dimension."""
    example = part.draw(2, seed=0)  # not 1, which torch.export would treat as a constant
    batch = torch.export.Dim("batch")
    inputs = tuple(example.values())
    shapes = tuple({0: batch} for _ in example)
    with _quiet(), torch.no_grad():
        traced = torch.export.export(part.module.eval(), inputs, dynamic_shapes=shapes)
        program = torch.onnx.export(
            traced.run_decompositions(_decompositions()),
            inputs,
            dynamo=True,
            dynamic_shapes=shapes,  # for their name in the file
            input_names=list(example),
            output_names=list(part.outputs),
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    graph = model.graph
    # The exporter's metadata of each node contain paths of this machine, and are half of a small file.
    for item in (*graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer, graph):
        del item.metadata_props[:]
    return model


def _decompositions() -> dict[Any, Callable[..., Any]]:
    """torch's own decompositions of what onnxscript would write as log(sigmoid(x)), -inf where x is very negative."""
    aten, all_of_them = torch.ops.aten, torch.export.default_decompositions()
    unstable = (aten.binary_cross_entropy_with_logits, aten.log_sigmoid, aten.log_sigmoid_forward)
    return {operation.default: all_of_them[operation.default] for operation in unstable}


@torch.no_grad()
def _onnx_difference(part: OnnxPart, path: Path) -> float:
    """Largest absolute difference between the outputs of onnxruntime and torch, on random inputs.

    Raises:
        ExportError: it exceeds TOLERANCE.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    options.intra_op_num_threads = 1  # starting a thread pool would take longer than these few images
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    differences = []
    for batch_size in BATCH_SIZES:
        inputs = part.draw(batch_size, seed=batch_size)
        actual = session.run(list(part.outputs), {name: value.numpy() for name, value in inputs.items()})
        for name, expected, output in zip(part.outputs, part.module(*inputs.values()), actual, strict=True):
            differences.append(_difference(f"{name} of {path.name}", torch.from_numpy(output), expected))
    return max(differences)


def _difference(name: str, actual: Tensor, expected: Tensor) -> float:
    """Largest absolute difference between an output and its expected value.

    Raises:
        ExportError: shapes differ, or the difference exceeds TOLERANCE or is NaN; `name` is part of the message.
    """
    if actual.shape != expected.shape:
        raise ExportError(f"{name} would be of shape {tuple(actual.shape)}, not {tuple(expected.shape)}; {REFUSED}")
    difference = float((actual - expected).abs().max())
    if not difference <= TOLERANCE * max(1.0, float(expected.abs().max())):  # in this form, True for NaN as well
        raise ExportError(f"{name} would differ by {difference:.2g} from torch's; {REFUSED}")
    return difference


def _export_weights(vae: VAE, path: Path, metadata: Mapping[str, str]) -> ExportedFile:
    from safetensors import safe_open
    from safetensors.torch import save

    # safetensors accepts neither channels-last tensors nor tensors that share memory.
    weights = {name: w.clone(memory_format=torch.contiguous_format) for name, w in vae.state_dict().items()}
    write_atomically(path, save(weights, dict(metadata)))
    with safe_open(path, framework="pt") as file:
        stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (`file` is not a mapping)
        same = file.metadata() == metadata and stored.keys() == weights.keys()
    if not same or not all(torch.equal(stored[name], w) for name, w in weights.items()):
        raise ExportError(f"{path.name} differs from what was written when it is read again; {REFUSED}")
    return ExportedFile(path, path.stat().st_size, 0.0)


@contextlib.contextmanager
def named_errors() -> Iterator[None]:
    """Raise the errors of an export as ExportError: torch.onnx, onnx and onnxruntime raise errors of many types."""
    try:
        yield
    except (UserError, OSError):
        raise
    except Exception as error:
        raise ExportError(f"this model cannot be exported ({first_line(error)}).") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppress warnings and logs of the exporter, which concern its internals; the result is checked instead."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
