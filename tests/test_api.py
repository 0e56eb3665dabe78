"""What `import mnist_vae` offers."""

import logging
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import mnist_vae
from mnist_vae.utils.errors import RunFolderError, SettingsError, TrainingDiverged
from tests.conftest import TINY, forked


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[mnist_vae.OpenRun]:
    yield mnist_vae.train([*TINY, "beta=2"], tmp_path_factory.mktemp("api") / "run")


def test_a_run_is_that_of_the_command(run: mnist_vae.OpenRun, tmp_path: Path) -> None:
    forked(*TINY, "beta=2", f"hydra.run.dir={tmp_path / 'run'}")
    there, here = tmp_path / "run", run.folder.path
    for name in ("config.yaml", "overrides.yaml"):
        assert (there / ".hydra" / name).read_text() == (here / ".hydra" / name).read_text()
    timed = ("train_seconds", "images_per_second")
    ours, theirs = ({k: v for k, v in mnist_vae.open_run(f).metrics.items() if k not in timed} for f in (here, there))
    assert ours == theirs

    def files(folder: Path) -> set[Path]:
        found = {path.relative_to(folder) for path in folder.rglob("*")}
        return {path for path in found if "tfevents" not in path.name}

    assert files(here) == files(there)


def test_the_log_is_in_the_folder_and_on_the_console(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, package = logging.getLogger(), logging.getLogger("mnist_vae")
    level, handlers = package.level, list(package.handlers)
    root_handlers = root.handlers
    root.handlers = []
    try:
        mnist_vae.train([*TINY, "max_epochs=1"], tmp_path / "run")
    finally:
        root.handlers = root_handlers
    written = (tmp_path / "run" / "train.log").read_text()
    assert "test ELBO" in written and "test ELBO" in capsys.readouterr().out
    assert (package.level, package.handlers) == (level, handlers)


def test_a_complete_run_is_opened(run: mnist_vae.OpenRun) -> None:
    before = (run.folder.path / "metrics.json").stat().st_mtime_ns
    again = mnist_vae.train([*TINY, "beta=2"], run.folder.path)
    assert again.metrics == run.metrics and (run.folder.path / "metrics.json").stat().st_mtime_ns == before


def test_what_an_open_run_has(run: mnist_vae.OpenRun, tmp_path: Path) -> None:
    assert run.cfg.beta == 2 and run.metrics["epochs"] == 2
    assert list(run.history["epoch"]) == [1, 2] and run.history["val/elbo"].iloc[-1] == run.metrics["val/elbo"]
    assert run.figures["results"].read_bytes().startswith(b"\x89PNG")
    images, labels = run.images()
    assert images.dtype == torch.uint8 and len(images) == len(labels)
    assert len(run.images("train")[0]) > len(run.images("val")[0]) > 0
    with pytest.raises(SettingsError, match="split is 'dev'; it must be one of train, val, test"):
        run.images("dev")
    damaged = mnist_vae.open_run(shutil.copytree(run.folder.path, tmp_path / "damaged"))
    damaged.folder.metrics.write_text('{"test/elbo": null}')
    damaged.folder.rows.write_text("epoch,step,val/elbo\n1,10,-5\n2,\n")
    assert "its metrics.json is damaged" in repr(damaged) and len(damaged.history) == 2
    assert repr(run).startswith(f"<run {run.folder.path}: mlp, 3 latent dimensions, beta 2, on digits; val ELBO")


def test_inference_needs_no_gradients_and_takes_uint8(run: mnist_vae.OpenRun) -> None:
    images, _ = run.images()
    mean, _ = run.vae.encode(images[:4])
    assert torch.equal(mean, run.vae.encode(images[:4] / 255).mean)
    assert torch.equal(mean, run.vae.encode(images[:4].numpy()).mean)
    assert torch.allclose(mean, run.vae.encode(images[:4].double() / 255).mean, atol=1e-5)
    assert run.vae.count_parameters() == run.metrics["parameters"]
    decoded = run.vae.decode(mean)
    assert torch.equal(decoded, run.vae.reconstruct(images[:4]))
    for values in (mean, decoded, run.vae.sample(3)):
        assert not values.requires_grad


def test_a_conditional_vae_takes_labels(tmp_path: Path) -> None:
    run = mnist_vae.train([*TINY, "conditional=true", "max_epochs=1"], tmp_path / "run")
    images, labels = run.images()
    assert run.vae.reconstruct(images[:4], labels=labels[:4]).shape == (4, 1, 28, 28)
    assert run.vae.sample(10, labels=list(range(10))).shape == (10, 1, 28, 28)
    assert run.vae.sample(3, labels=7).shape == (3, 1, 28, 28)
    with pytest.raises(ValueError, match="this VAE is conditional: labels are required"):
        run.vae.sample(3)


def test_a_mistake_leaves_nothing(tmp_path: Path) -> None:
    for words in (["latent_dim=0"], ["batch_size=100000"], ["trainer.fast_dev_run=true"]):
        with pytest.raises(SettingsError):
            mnist_vae.train([*TINY, *words], tmp_path / "a" / "b")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("words", [["-m"], [3], ["-m", "latent_dim=2,4"]])
def test_what_is_no_override_is_refused(words: list, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"an override is text, key=value; a sweep is started by `mnist-vae -m …`"):
        mnist_vae.train(words, tmp_path / "run")


def test_a_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(RunFolderError, match="can't be written"):
            mnist_vae.train([*TINY], folder)


def test_a_log_that_leads_elsewhere_is_not_written(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "train.log").symlink_to(tmp_path / "victim.txt")
    with pytest.raises(RunFolderError, match="leads outside the run's folder"):
        mnist_vae.train([*TINY], tmp_path / "run")
    assert not (tmp_path / "victim.txt").exists()


def test_paths_are_those_of_the_moment(run: mnist_vae.OpenRun, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = run.folder.path
    monkeypatch.chdir(folder.parent)
    monkeypatch.setenv("HOME", str(folder.parent))
    opened = [mnist_vae.open_run(folder.name), mnist_vae.open_run(f"~/{folder.name}")]
    again = mnist_vae.train([*TINY, "beta=2"], f"~/{folder.name}")
    sweep = mnist_vae.load_sweep(folder.name)
    monkeypatch.chdir("/")
    for other in (*opened, again):
        assert other.metrics == run.metrics and other.figures == run.figures
    assert list(sweep.to_dataframe()["folder"]) == [str(folder)]


def test_a_hydra_app_can_train(tmp_path: Path) -> None:
    """Its own config is left alone, also by the import."""
    script = tmp_path / "app.py"
    script.write_text(
        "import sys\n"
        "import hydra\n"
        "from mnist_vae import train\n\n\n"
        "@hydra.main(version_base='1.3', config_path='own', config_name='own')\n"
        "def main(cfg):\n"
        f"    run = train({[*TINY, 'max_epochs=1']}, 'run')\n"
        "    print(cfg.x, run.cfg.latent_dim, hydra.core.hydra_config.HydraConfig.get().job.name)\n\n\n"
        "main()\n"
    )
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "own.yaml").write_text("x: 5\n")
    done = forked(script=str(script), cwd=tmp_path)
    assert done.returncode == 0 and "5 3 app" in done.stdout, done.stderr


def test_another_configuration_is_refused(run: mnist_vae.OpenRun) -> None:
    with pytest.raises(RunFolderError, match="belongs to another configuration, which differs in beta"):
        mnist_vae.train([*TINY, "beta=3"], run.folder.path)


def test_a_failure_is_noted_in_the_folder(tmp_path: Path) -> None:
    with pytest.raises(TrainingDiverged):
        mnist_vae.train([*TINY, "lr=1e30", "schedule=constant"], tmp_path / "run")
    assert "error" in (tmp_path / "run" / "failed.json").read_text()


def test_sweeps_are_data_frames(trained: Path) -> None:
    sweep = mnist_vae.load_sweep(trained)
    assert len(sweep.to_dataframe()) == 3 and set(sweep.history()["metric"]) >= {"val/elbo", "train/loss"}
    assert repr(sweep).startswith(f"<sweep {trained}: 3 complete; ")


def test_the_package_names_its_version_and_types() -> None:
    assert mnist_vae.__version__.count(".") == 2 and set(dir(mnist_vae)) >= {"train", "load_run", "load_sweep"}
    assert (Path(mnist_vae.__file__).parent / "py.typed").exists()
    with pytest.raises(AttributeError, match="has no attribute 'nope'"):
        _ = mnist_vae.nope  # type: ignore[attr-defined]


def test_importing_it_imports_nothing_heavy() -> None:
    code = "import sys, mnist_vae; mnist_vae.__version__; print({'torch', 'pandas', 'hydra'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"
