"""A trained VAE in files that need none of this project: ONNX and safetensors, each checked against torch."""

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

from mnist_vae.models.vae import VAE
from mnist_vae.utils.errors import UserError, first_line
from mnist_vae.utils.io import write_atomically

PACKAGES = ("onnx", "onnxscript", "onnxruntime", "safetensors")
BATCH_SIZES = (1, 2, 7)
# Of the largest value, or of 1. Sums taken in another order differ by some 1e-6, a wrong operator by far more.
TOLERANCE = 1e-4
REFUSED = "nothing was written. Other versions of torch, onnxscript or onnxruntime may do better."


class ExportError(UserError):
    """A package is missing, or what was written would not compute what torch computes."""


class Exported(NamedTuple):
    """A file, its size in bytes, and the largest absolute difference of its outputs (or weights) from torch's."""

    path: Path
    size: int
    difference: float


class Part(NamedTuple):
    """What becomes one ONNX file.

    Attributes:
        module: the function, from tensors to a tuple of tensors, all with the batch first.
        inputs: by name, in order, a function from a batch size and a generator to a random input to check with.
        outputs: the outputs' names.
    """

    module: nn.Module
    inputs: dict[str, Callable[[int, torch.Generator], Tensor]]
    outputs: tuple[str, ...]

    def draw(self, batch_size: int, seed: int) -> dict[str, Tensor]:
        """Random inputs."""
        generator = torch.Generator().manual_seed(seed)
        return {name: draw(batch_size, generator) for name, draw in self.inputs.items()}


class Encoder(nn.Module):
    """Images (batch, channels, height, width) in [0, 1] -> mean, log_var of q(z|x), each (batch, latent_dim); of a
    conditional VAE images and their labels (batch,) int64."""

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, x: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        posterior = self.vae.encode(x, labels)
        return posterior.mean, posterior.log_var


class Decoder(nn.Module):
    """Codes (batch, latent_dim) -> images E[x|z] (batch, channels, height, width) in [0, 1]; of a conditional VAE codes
    and labels (batch,) int64."""

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, z: Tensor, labels: Tensor | None = None) -> tuple[Tensor]:
        return (self.vae.decode(z, labels),)


def require_packages() -> None:
    """Raise ExportError unless the packages of the extra `export` are installed."""
    for name in PACKAGES:
        try:
            importlib.import_module(name)
        except ImportError as error:
            why = first_line(error)
            raise ExportError(f'exporting needs {name} ({why}); install it by: pip install -e ".[export]"') from error


def export_vae(vae: VAE, folder: Path, about: Mapping[str, str]) -> list[Exported]:
    """Write encoder.onnx, decoder.onnx and vae.safetensors; all of them, checked, or none.

    Args:
        vae: the model; it is left as it is, on its device and in its mode.
        folder: where to; made if need be, in a folder that exists. An earlier export there is replaced.
        about: what else the files shall say of the model, beside its latent_dim and image_shape.

    Raises:
        ExportError: a package is missing, a part has no counterpart in ONNX, or a file gives other values than torch.
    """
    require_packages()
    vae = copy.deepcopy(vae).cpu().eval()
    about = {"latent_dim": str(vae.latent_dim), "image_shape": json.dumps(vae.image_shape), **about}
    # Beside the folder rather than in it, so that a failure leaves no empty folder.
    with TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as staging:
        try:
            files = [_export_onnx(part, Path(staging, f"{name}.onnx"), about) for name, part in _parts(vae).items()]
            files.append(_export_weights(vae, Path(staging, "vae.safetensors"), about))
        except (UserError, OSError):
            raise
        except Exception as error:  # whatever torch.onnx, onnx and onnxruntime raise
            raise ExportError(f"this model can't be exported ({first_line(error)}).") from error
        folder.mkdir(exist_ok=True)
        return [file._replace(path=file.path.replace(folder / file.path.name)) for file in files]


def _parts(vae: VAE) -> dict[str, Part]:
    given: dict[str, Callable[[int, torch.Generator], Tensor]] = {}
    if vae.classes:
        given["labels"] = lambda n, generator: torch.randint(vae.classes, (n,), generator=generator)
    images = {"x": lambda n, generator: torch.rand(n, *vae.image_shape, generator=generator)}
    codes = {"z": lambda n, generator: torch.randn(n, vae.latent_dim, generator=generator)}
    return {
        "encoder": Part(Encoder(vae), images | given, ("mean", "log_var")),
        "decoder": Part(Decoder(vae), codes | given, ("images",)),
    }


def _export_onnx(part: Part, path: Path, about: Mapping[str, str]) -> Exported:
    import onnx

    model = _to_onnx(part)
    model.doc_string = part.module.__doc__
    onnx.helper.set_model_props(model, dict(about))
    write_atomically(path, model.SerializeToString())
    onnx.checker.check_model(path, full_check=True)
    return Exported(path, path.stat().st_size, _onnx_difference(part, path))


def _to_onnx(part: Part) -> Any:
    """The part as an onnx.ModelProto whose batch axis is dynamic."""
    example = part.draw(2, seed=0)  # two, because torch.export takes a size of one to be a constant
    batch = torch.export.Dim("batch")
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            part.module.eval(),
            tuple(example.values()),
            dynamo=True,
            dynamic_shapes=tuple({0: batch} for _ in example),
            input_names=list(example),
            output_names=list(part.outputs),
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    graph = model.graph
    # The exporter's notes on each node: half of a small file, and they name folders of this machine.
    for item in (*graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer, graph):
        del item.metadata_props[:]
    return model


@torch.no_grad()
def _onnx_difference(part: Part, path: Path) -> float:
    """The largest absolute difference between onnxruntime's outputs and torch's, on random inputs.

    Raises:
        ExportError: it is more than rounding.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    options.intra_op_num_threads = 1  # a pool of threads would cost more than these few images
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    differences = []
    for batch_size in BATCH_SIZES:
        inputs = part.draw(batch_size, seed=batch_size)
        found = session.run(list(part.outputs), {name: value.numpy() for name, value in inputs.items()})
        for name, ours, theirs in zip(part.outputs, part.module(*inputs.values()), found, strict=True):
            differences.append(_difference(f"{name} of {path.name}", torch.from_numpy(theirs), ours))
    return max(differences)


def _difference(name: str, found: Tensor, expected: Tensor) -> float:
    if found.shape != expected.shape:
        raise ExportError(f"{name} would be of shape {tuple(found.shape)}, not {tuple(expected.shape)}; {REFUSED}")
    difference = float((found - expected).abs().max())
    if not difference <= TOLERANCE * max(1.0, float(expected.abs().max())):  # so put, NaN is refused too
        raise ExportError(f"{name} would differ by {difference:.2g} from torch's; {REFUSED}")
    return difference


def _export_weights(vae: VAE, path: Path, about: Mapping[str, str]) -> Exported:
    from safetensors import safe_open
    from safetensors.torch import save

    # safetensors takes neither channels-last tensors nor such as share their memory.
    weights = {name: w.clone(memory_format=torch.contiguous_format) for name, w in vae.state_dict().items()}
    write_atomically(path, save(weights, dict(about)))
    with safe_open(path, framework="pt") as file:
        found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no mapping)
        same = file.metadata() == about and found.keys() == weights.keys()
    if not same or not all(torch.equal(found[name], w) for name, w in weights.items()):
        raise ExportError(f"{path.name}, read again, is not what was written; {REFUSED}")
    return Exported(path, path.stat().st_size, 0.0)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's warnings and logs: they are about its own insides, and the result is checked."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
