"""Export the explorer as one HTML file that needs no server: the model as ONNX, and the browser's onnxruntime."""

import base64
import copy
import gzip
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from bokeh.document import Document
from bokeh.embed import file_html
from bokeh.layouts import column, row
from bokeh.models import Button, Div, TabPanel, Tabs
from bokeh.resources import INLINE
from torch import Tensor, nn

from mnist_vae.analysis import inspection
from mnist_vae.analysis.export import OnnxPart, export_onnx, named_errors, parts, require_packages
from mnist_vae.analysis.plane import Plane
from mnist_vae.data.drawing import render_strokes
from mnist_vae.explorer.canvas import NOTE, Canvas
from mnist_vae.explorer.controls import WRAP
from mnist_vae.explorer.explored_run import ExploredRun
from mnist_vae.explorer.latent_map import LatentMap
from mnist_vae.explorer.output import Output
from mnist_vae.explorer.page import style
from mnist_vae.explorer.sliders import Sliders
from mnist_vae.explorer.subject import Subject
from mnist_vae.explorer.templates import callback
from mnist_vae.models.vae import VAE
from mnist_vae.utils.errors import SettingsError
from mnist_vae.utils.io import write_atomically

RUNTIME = {"ort-script": "ort.wasm.bundle.min.mjs", "ort-wasm": "ort-wasm-simd-threaded.wasm"}
RANDOM_CODES = 200


class Describer(nn.Module):
    """Strokes, segments (n, 4) -> the image that they draw and what the VAE makes of it; see `inspection.inspect`.

    A conditional VAE is given the label under which the image has the largest ELBO.
    """

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.vae = vae
        self.register_buffer("noise", inspection.draws(vae.latent_dim))
        self.noise: Tensor

    def forward(self, segments: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        channels, height, width = self.vae.image_shape
        x = render_strokes(segments, (height, width)).expand(max(1, self.vae.classes), channels, height, width)
        labels = torch.arange(self.vae.classes) if self.vae.classes else None
        described = inspection.inspect(self.vae, x, self.noise, labels)
        best = described.elbo.argmax(dim=0, keepdim=True)
        parts = [x, described.mean, described.reconstruction, described.nats]
        image, mean, reconstruction, nats = (part.index_select(0, best)[0] for part in parts)
        return image, mean, reconstruction, nats, best


def export_page(run: ExploredRun, path: Path, runtime: Path) -> None:
    """Write the page of a run.

    Args:
        path: the file.
        runtime: folder of the npm package onnxruntime-web.

    Raises:
        SettingsError: the folder is not that package.
        ExportError: a package is missing, or the model has no counterpart in ONNX.
    """
    scripts = runtime_files(runtime)
    models = onnx_models(run.vae)
    document = Document()
    _fill(document, run)
    style(document, run.title, ("standalone.js", "runtime.js"))
    packed = {name: base64.b64encode(gzip.compress(content)).decode() for name, content in (scripts | models).items()}
    document.template_variables.update(packed=packed)
    html = file_html(document, INLINE, template=document.template, template_variables=document.template_variables)
    write_atomically(path, html.encode())


def onnx_models(vae: VAE) -> dict[str, bytes]:
    """The models `decoder` and `describer` of a VAE, each compared with torch's.

    Raises:
        ExportError: see `export_page`.
    """
    require_packages()
    vae = copy.deepcopy(vae).cpu().eval()
    vae.prior = vae.prior.fixed()
    outputs = ("drawn", "code", "decoded", "nats", "likeliest")
    describer = OnnxPart(Describer(vae), {"segments": lambda n, g: torch.rand(n, 4, generator=g)}, outputs)
    exported = {"decoder": parts(vae)["decoder"], "describer": describer}
    with TemporaryDirectory() as place, named_errors():
        files = {name: export_onnx(part, Path(place, f"{name}.onnx"), {}) for name, part in exported.items()}
        return {name: file.path.read_bytes() for name, file in files.items()}


def runtime_files(runtime: Path) -> dict[str, bytes]:
    """The files of the npm package onnxruntime-web that the page needs, by the names that it gives them.

    Raises:
        SettingsError: the folder is not that package.
    """
    try:
        return {name: (runtime / "dist" / file).read_bytes() for name, file in RUNTIME.items()}
    except OSError as error:
        raise SettingsError(
            f"runtime={runtime}: there is no dist/{Path(error.filename).name} in it; it must be the folder of the npm "
            "package onnxruntime-web, as `npm install onnxruntime-web` makes it in node_modules."
        ) from error


def _fill(document: Document, run: ExploredRun) -> None:
    """Lay out the page, with callbacks that run in the browser."""
    subject = Subject([run])
    latent_map, output, canvas, sliders = LatentMap(run), Output(subject), Canvas(), Sliders(run)
    subject.show_image(run.pixels(0), int(run.labels[0]))
    [start] = subject.codes
    output.update()
    output.nearest.visible = False  # the page has no training images, whose labels vote
    output.numbers.text = output.image_numbers()
    sliders.set(start)
    latent_map.mark(start)
    buttons = {name: Button(label=name.replace("_", " "), name=name) for name in ("prior_mean", "random_code", "clear")}
    code = column(row(buttons["prior_mean"], buttons["random_code"], styles=WRAP), sliders.layout)
    note = Div(text=NOTE)
    draw = column(note, canvas.plot, buttons["clear"])
    for layout in (code, draw):
        layout.sizing_mode = "stretch_width"
    tabs = Tabs(tabs=[TabPanel(child=code, title="Code"), TabPanel(child=draw, title="Draw")], name="tabs")
    tabs.sizing_mode = "stretch_width"
    output.layout.name = "output"
    for root in (column(latent_map.plot, sizing_mode="stretch_width", name="plane"), output.layout, tabs):
        document.add_root(root)
    answer = callback(
        "standalone",
        pointer=latent_map.pointer,
        marker=latent_map.marker,
        plane=_plain(latent_map.plane),
        strokes=canvas.source,
        input=output.input.source,
        output=output.decoded[0].source,
        input_column=output.input_column,
        numbers=output.numbers,
        label=output.label,
        sliders=list(sliders.sliders.values()),
        dimensions=list(sliders.sliders),
        start=start.tolist(),
        start_label=subject.label,
        name=escape(run.name),
        classes=[escape(run.class_name(label)) for label in range(run.vae.classes)],
        prior_mean=run.prior_mean.tolist(),
        prior=run.prior_codes[:RANDOM_CODES].tolist(),
        **{f"{name}_button": button for name, button in buttons.items()},
    )
    latent_map.pointer.js_on_change("data", answer)
    canvas.source.js_on_change("data", answer)
    output.label.js_on_change("value", answer)
    for slider in sliders.sliders.values():
        slider.js_on_change("value", answer)
    for button in buttons.values():
        button.js_on_event("button_click", answer)


def _plain(plane: Plane) -> dict[str, list]:
    """A plane as lists, and the pseudo-inverse by which codes are moved on it, (latent_dim, 2)."""
    inverse = torch.linalg.pinv(plane.directions.T)
    return {"directions": plane.directions.tolist(), "offset": plane.offset.tolist(), "inverse": inverse.tolist()}
