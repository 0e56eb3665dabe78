import base64
import gzip
import re
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from mnist_vae.analysis.export import ExportError
from mnist_vae.data.drawing import render_strokes
from mnist_vae.explorer.explored_run import ExploredRun
from mnist_vae.explorer.standalone import RUNTIME, export_page, onnx_models
from mnist_vae.utils.errors import SettingsError

Explored = dict[str, ExploredRun]
SEVEN = torch.tensor([[0.3, 0.2, 0.7, 0.2], [0.7, 0.2, 0.45, 0.85]])


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    """A folder with the names, not the content, of onnxruntime-web's files."""
    folder = tmp_path / "onnxruntime-web" / "dist"
    folder.mkdir(parents=True)
    for name in RUNTIME.values():
        (folder / name).write_bytes(name.encode())
    return folder.parent


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mlp", "conv", "conditional", "vamp"])
def test_the_models_in_the_page_give_what_torch_gives(explored: Explored, name: str) -> None:
    run = explored[name]
    session = onnxruntime.InferenceSession(onnx_models(run.vae)["describer"])
    outputs = dict(
        zip([o.name for o in session.get_outputs()], session.run(None, {"segments": SEVEN.numpy()}), strict=True)
    )
    x = render_strokes(SEVEN, (28, 28))[None]
    label = run.most_likely_label(x) or 0
    expected = run.inspect(x, label)
    assert outputs["likeliest"].tolist() == [label]
    for output, value in {
        "drawn": x,
        "code": expected.mean[0],
        "decoded": expected.reconstruction[0],
        "nats": expected.nats[0],
    }.items():
        assert np.allclose(outputs[output], value, rtol=1e-4, atol=1e-4), output


@pytest.mark.slow
def test_the_page_is_one_file_that_asks_for_nothing(explored: Explored, runtime: Path, tmp_path: Path) -> None:
    export_page(explored["conditional"], tmp_path / "page.html", runtime)
    html = (tmp_path / "page.html").read_text()
    packed = dict(re.findall(r'<script type="application/base64" id="([\w-]+)">([^<]*)</script>', html))
    assert set(packed) == {*RUNTIME, "decoder", "describer"}
    calls = re.findall(r"window\.callbacks\.(\w+)\(", html)
    assert set(calls) == {"pointer", "stroke", "standalone"}
    assert all(f"window.callbacks.{name} = " in html for name in calls)
    unpacked = {name: gzip.decompress(base64.b64decode(content)) for name, content in packed.items()}
    assert {name: unpacked[name].decode() for name in RUNTIME} == RUNTIME
    session = onnxruntime.InferenceSession(unpacked["decoder"])
    assert [i.name for i in session.get_inputs()] == ["z", "labels"]
    assert not re.findall(
        r"<(?:script|link|img)[^>]*(?:src|href)=[\"'](?!data:)[^>]*>", html.partition("<body>")[0][:5000]
    )


def test_without_the_runtime_nothing_is_written(explored: Explored, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"runtime=.*npm install onnxruntime-web"):
        export_page(explored["mlp"], tmp_path / "page.html", tmp_path)
    assert not list(tmp_path.iterdir())


def test_without_the_export_packages_nothing_is_written(
    explored: Explored, runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    with pytest.raises(ExportError, match=r"needs onnxscript.*\[export\]"):
        export_page(explored["mlp"], tmp_path / "page.html", runtime)
    assert not (tmp_path / "page.html").exists()
