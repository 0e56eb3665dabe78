import re
import time

import numpy as np
import pytest
import torch
from bokeh.document import Document
from bokeh.embed import file_html
from bokeh.models import CustomJS
from bokeh.resources import CDN

from mnist_vae.explorer.explored_run import ExploredRun
from mnist_vae.explorer.page import Page, held, style
from mnist_vae.explorer.pictures import packed, to_bytes

Explored = dict[str, ExploredRun]
CALL = re.compile(r"window\.callbacks\.(\w+)")


def page_of(*runs: ExploredRun) -> Page:
    return Page(Document(), runs)


def output(page: Page, index: int = 0) -> np.ndarray:
    [source] = page.document.select({"name": f"output{index}"})
    return source.data["image"][0]


@pytest.mark.parametrize("name", ["mlp", "plane", "conv", "conditional", "vamp"])
def test_where_the_map_is_clicked_the_code_is_decoded(explored: Explored, name: str) -> None:
    run = explored[name]
    page = page_of(run)
    page.map.pointer.data = {"x": [0.5], "y": [-0.25]}
    z = page.subject.codes[0]
    x, y = page.map.plane.project(z).tolist()
    assert x == pytest.approx(0.5, abs=1e-4) and (name == "vamp" or y == pytest.approx(-0.25, abs=1e-4))
    assert np.array_equal(output(page), packed(to_bytes(run.decode(z[None], page.subject.label)[0])))
    assert page.map.marker.data["x"] == [pytest.approx(0.5, abs=1e-4)]
    if name == "plane":
        assert [page.code.sliders.sliders[j].value for j in (0, 1)] == pytest.approx([0.5, -0.25], abs=1e-4)


def test_a_move_on_the_map_keeps_what_the_map_does_not_show(explored: Explored) -> None:
    page = page_of(explored["mlp"])
    page.map.across.value, page.map.up.value = "z1", "z2"
    before = page.subject.codes[0]
    page.map.pointer.data = {"x": [1.0], "y": [2.0]}
    assert torch.allclose(page.subject.codes[0], torch.cat([torch.tensor([1.0, 2.0]), before[2:]]), atol=1e-5)


def test_the_page_has_the_scripts_that_its_callbacks_call(explored: Explored) -> None:
    page = page_of(explored["mlp"])
    style(page.document, "a run")
    called = {name for js in page.document.select({"type": CustomJS}) for name in CALL.findall(js.code)}
    scripts = page.document.template_variables["scripts"]
    assert called == {"pointer", "stroke"} == set(re.findall(r"^window\.callbacks\.(\w+) = ", "\n".join(scripts), re.M))


def test_another_plane_moves_the_mark(explored: Explored) -> None:
    page = page_of(explored["mlp"])
    page.map.across.value = "z3"
    assert page.map.marker.data["x"] == [pytest.approx(float(page.subject.codes[0][2]), abs=1e-5)]


def test_it_begins_with_the_first_test_image(explored: Explored) -> None:
    run = explored["mlp"]
    page = page_of(run)
    [source] = page.document.select({"name": "input"})
    assert np.array_equal(source.data["image"][0], packed(to_bytes(run.pixels(0))))


def test_of_two_runs_both_decode_the_code_that_is_pointed_at(explored: Explored) -> None:
    page = page_of(explored["conv"], explored["conditional"])
    page.map.pointer.data = {"x": [0.1], "y": [0.2]}
    for index, (run, z) in enumerate(zip(page.subject.runs, page.subject.codes, strict=True)):
        assert np.array_equal(output(page, index), packed(to_bytes(run.decode(z[None], page.subject.label)[0])))


def test_the_template_has_every_part_and_escapes_the_heading(
    explored: Explored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explored["mlp"], "title", "<b>mlp</b>")
    document = page_of(explored["mlp"]).document
    for root in document.roots:  # Python's callbacks have no meaning in a file
        for model in root.references():
            model._callbacks.clear()
    html = file_html(document, CDN, template=document.template, template_variables=document.template_variables)
    assert "<h1>&lt;b&gt;mlp&lt;/b&gt;</h1>" in html and "<b>mlp</b>" not in html
    assert html.count("data-root-id") == 3


def test_changes_are_sent_together() -> None:
    document = Document()
    with held(document):
        document.title = "one"
        assert document.callbacks.hold_value == "combine"
    assert document.callbacks.hold_value is None


def test_following_the_pointer_takes_a_few_milliseconds(explored: Explored) -> None:
    page = page_of(explored["mlp"])
    start = time.process_time()
    for i in range(20):
        page.map.pointer.data = {"x": [0.1 * i], "y": [0.0]}
    assert (time.process_time() - start) / 20 < 0.05
