import urllib.request
from pathlib import Path

import pytest

import mnist_vae
from mnist_vae.explorer import requirement
from mnist_vae.utils.errors import RunFolderError, SettingsError

Folders = dict[str, Path]


def test_a_cell_shows_the_page_in_a_frame_until_it_is_stopped(run_folders: Folders) -> None:
    shown = mnist_vae.explore(run_folders["plane"])
    try:
        assert f'<iframe src="{shown.url}"' in shown._repr_html_()
        assert urllib.request.urlopen(shown.url, timeout=30).status == 200
    finally:
        shown.stop()
    with pytest.raises(OSError):
        urllib.request.urlopen(shown.url, timeout=5)


def test_several_runs_opened_or_not_can_be_chosen_from(run_folders: Folders) -> None:
    shown = mnist_vae.explore([run_folders["plane"], mnist_vae.open_run(run_folders["mlp"])])
    try:
        html = urllib.request.urlopen(shown.url, timeout=30).read().decode()
    finally:
        shown.stop()
    assert '<option value="0" selected>0: plane</option>' in html and '<option value="1">1: mlp</option>' in html


def test_mistakes_are_raised_where_it_is_called(run_folders: Folders, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there is no run to explore"):
        mnist_vae.explore([])
    with pytest.raises(RunFolderError, match="there is no such folder"):
        mnist_vae.explore(tmp_path / "nowhere")
    first = mnist_vae.explore(run_folders["plane"])
    try:
        with pytest.raises(SettingsError, match="choose another port"):
            mnist_vae.explore(run_folders["plane"], port=int(first.url.rstrip("/").rpartition(":")[2]))
    finally:
        first.stop()


def test_without_bokeh_it_says_how_to_install_it(run_folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "bokeh", None)
    with pytest.raises(SettingsError, match=r'explore needs bokeh.*pip install -e "\.\[explore\]"'):
        mnist_vae.explore(run_folders["plane"])
    with pytest.raises(SettingsError):
        requirement.require_bokeh()
