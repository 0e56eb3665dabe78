"""The tools in scripts/, as a user runs them."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mnist_vae.cli.commands.evaluate import table
from mnist_vae.runs.load import load_run, open_run
from mnist_vae.training.train import train
from mnist_vae.utils.text import number
from tests.conftest import ROOT, Done, command, composed, forked, least_seconds

Tool = Callable[..., Done]
TOOLS = ("evaluate", "generate", "encode", "figures", "export", "explore", "fit_prior")


@pytest.mark.parametrize("name", TOOLS)
def test_help_answers_within_a_second(name: str) -> None:
    words = [sys.executable, f"scripts/{name}.py", "--help"]
    runs = []
    call = partial(subprocess.run, words, cwd=ROOT, capture_output=True, text=True, check=True)
    assert least_seconds(lambda: runs.append(call()), enough=1) < 1
    done = runs[0]
    assert f"python scripts/{name}.py run=" in done.stdout and "checkpoint" in done.stdout and not done.stderr


MISTAKES = [
    ("evaluate", [], "run: it is not given, and is needed; --help says what it is."),
    ("encode", ["run={runs}/nope"], "nope: there is no such folder."),
    ("figures", ["run={runs}/mlp/figures"], "did you mean {runs}/mlp?"),
    ("generate", ["run={runs}/mlp", "cuont=3"], "cuont: there is no such key; did you mean count?"),
    ("generate", ["run={runs}/mlp", "count=0"], "count=0: it must be 1 or more."),
    ("generate", ["run={runs}/mlp", "temperature=-1"], "temperature=-1.0: it must be 0 or more, and finite."),
    ("generate", ["run={runs}/mlp", "seed=-1"], "seed=-1: it must be 0 or more"),
    (
        "generate",
        ["run={runs}/mlp", "label=7"],
        "label=7: this run is not conditional; train one with conditional=true.",
    ),
    ("generate", ["run={runs}/mlp", "label=7", "like=3"], "label=7 with like=3: give one of them."),
    ("generate", ["run={runs}/mlp", "like=3;7"], "like=3;7: it must be labels separated by commas, as in like=3,7."),
    ("generate", ["run={runs}/mlp", "like=3,12"], "like=3,12: digits has no 12; its labels are "),
    ("encode", ["run={runs}/mlp", "split=all"], "split=all: Invalid value 'all', expected one of [train, val, test]."),
    ("evaluate", ["run={runs}/mlp", "checkpoint=worst"], "expected one of [best, last]"),
    ("export", ["run={runs}/mlp", "accelerator=cpu"], "accelerator: there is no such key"),
    ("generate", ["run={runs}/mlp", "prior=gnn"], "prior=gnn: it must be trained, or one that was fitted: gmm, flow, "),
    ("evaluate", ["run={runs}/mlp", "prior=gmm"], "mlp has none; `python scripts/fit_prior.py run="),
    ("encode", ["run={runs}/mlp", "prior=gmm"], "prior: there is no such key"),
    ("fit_prior", ["run={runs}/mlp"], "density: it is not given, and is needed; --help says what it is."),
    ("fit_prior", ["run={runs}/mlp", "density=gnn"], "density=gnn: it must be one of gmm, flow, vamp."),
    (
        "fit_prior",
        ["run={runs}/mlp", "density=flow", "components=3"],
        "components=3: density=flow has none; it has layers, hidden_dim",
    ),
    ("fit_prior", ["run={runs}/mlp", "density=gmm", "components=0"], "components=0: it must be 1 or more"),
    ("fit_prior", ["run={runs}/mlp", "density=gmm", "components=2000"], "it must be at most 1300, the number of"),
    ("fit_prior", ["run={runs}/mlp", "density=flow", "max_epochs=0"], "max_epochs=0: it must be 1 or more."),
    ("fit_prior", ["run={runs}/mlp", "density=flow", "seed=-1"], "seed=-1: it must be 0 or more, and below 2^32."),
    ("explore", ["run={runs}/nope"], "nope: there is no such folder."),
    ("explore", ["run={runs}/mlp", "port=-1"], "port=-1: it must be from 0 to 65535."),
    ("explore", ["run={runs}/mlp", "export={runs}"], "it is a folder; name a file, as explore.html."),
    ("explore", ["run={runs}/mlp", "export={runs}/no/page.html"], "no."),
    ("explore", ["run={runs}/mlp", "host="], "host: it is empty"),
    ("explore", ["run={runs}/mlp", "export=page.html", "runtime={runs}"], "it must be the folder of the npm package"),
]


@pytest.mark.parametrize(("name", "words", "message"), MISTAKES, ids=[f"{m[0]} {' '.join(m[1])}" for m in MISTAKES])
def test_a_mistake_gets_one_sentence_and_leaves_nothing(
    tool: Tool, runs: Path, name: str, words: list[str], message: str
) -> None:
    before = {path: path.stat().st_mtime_ns for path in runs.rglob("*") if path.is_file()}
    done = tool(name, *(word.format(runs=runs) for word in words))
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("error: ") and message.format(runs=runs) in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert {path: path.stat().st_mtime_ns for path in runs.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("name", ["evaluate", "encode", "figures", "generate", "export"])
def test_a_run_without_a_checkpoint_is_reported(tool: Tool, runs: Path, name: str) -> None:
    for checkpoint in (runs / "mlp" / "checkpoints").iterdir():
        checkpoint.unlink()
    done = tool(name, f"run={runs}/mlp")
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert "best.ckpt does not exist; a run has it from the end of its first epoch on." in done.stderr


def test_a_run_that_is_not_complete_is_used_and_said(tool: Tool, runs: Path) -> None:
    (runs / "mlp" / "metrics.json").unlink()
    done = tool("figures", f"run={runs}/mlp", "checkpoint=last")
    assert done.returncode == 0 and "is not complete; these are its weights after epoch 3." in done.stdout


def test_one_bad_run_among_many_is_reported_and_the_others_are_evaluated(tool: Tool, runs: Path) -> None:
    (runs / "plane" / "checkpoints" / "best.ckpt").write_bytes(b"not much")
    done = tool("evaluate", f"run={runs}")
    assert done.returncode == 1
    assert "plane: " in done.stderr and "error: 1 of 3 runs failed; the reasons are above." in done.stderr
    assert {path.parent.name for path in runs.rglob("evaluation.json")} == {"mlp", "conv"}
    assert [line.split()[0].rpartition("/")[2] for line in done.stdout.splitlines()[1:3]] == ["conv", "mlp"]


def test_evaluate_shows_a_card_for_one_run(tool: Tool, runs: Path) -> None:
    done = tool("evaluate", f"run={runs}/mlp")
    assert done.returncode == 0 and done.stderr == ""
    metrics = json.loads((runs / "mlp" / "metrics.json").read_text())
    assert f"{number(metrics['test/elbo'], 3)} ±" in done.stdout
    for word in (
        "reconstruction",
        "KL",
        "mutual information",
        "marginal KL",
        "of 5",
        "k-NN accuracy",
        "log 297 = 5.69",
    ):
        assert word in done.stdout


def test_evaluate_shows_which_runs_have_an_nll_and_of_how_many_samples(
    tool: Tool, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    done = tool("evaluate", f"run={runs}/mlp", "nll.samples=3")
    assert done.returncode == 0 and "of 3 samples per image are effective (median image); Monte Carlo" in done.stdout
    file = runs / "mlp" / "evaluation.json"
    few = json.loads(file.read_text())
    without = {name: value for name, value in few.items() if "nll" not in name}
    many = few | {"nll_samples": 5000, "test/nll_effective_samples": 1234.4, "test/nll_monte_carlo_error": 0.0123}
    many["test/nll_half"] = few["test/nll"] + 0.0456
    of_several = ("test/nll_monte_carlo_error", "test/nll_half")
    one = {name: value for name, value in few.items() if name not in of_several} | {"nll_samples": 1}

    def lines(*results: dict[str, Any]) -> list[str]:
        return table([(file, values) for values in results]).splitlines()

    header, *rows = lines(without, many, few, one)[:5]
    assert header.split()[-2:] == ["NLL", "effective"] and {len(row) for row in rows} == {len(header)}
    nll = f"{few['test/nll']:.3f} ± {few['test/nll_standard_error']:.3f}"
    dash, effective = "\N{EN DASH}", f"{few['test/nll_effective_samples']:.0f}"
    assert rows[0].split()[-2:] == [dash, dash]
    assert [row.split(nll)[-1].split() for row in rows[1:3]] == [["1,234", "of", "5,000"], [effective, "of", "3"]]
    assert lines(without, many)[8:11] == [
        "NLL: effective samples per image, of all that were drawn (median image); Monte Carlo error 0.012 nats",
        "     half of the samples give 0.046 nats more; about as much bias remains, or more",
        f"     {dash} where it was not estimated; nll.samples=… does that",
    ]
    errors = f"Monte Carlo error {max(few['test/nll_monte_carlo_error'], 0.0123):.3f} nats, at worst"
    assert [line for line in lines(many, few) if errors in line and dash not in line]
    assert any("with fewer than 10 effective samples the NLL is overestimated" in line for line in lines(many, few))
    assert not any("overestimated" in line or "at worst" in line for line in lines(without, many))
    assert not any("NLL:" in line for line in lines(without, without))
    for width in (80, 150):
        monkeypatch.setenv("COLUMNS", str(width))
        rows = lines(without, without)[:-6]
        assert max(map(len, rows)) <= width
    sweep = [(runs / f"beta={beta},callbacks=none" / file.name, without) for beta in (1, 4)]
    assert [line.split()[0] for line in table(sweep).splitlines()[1:3]] == ["beta=1", "beta=4"]
    monkeypatch.setenv("COLUMNS", "80")
    sweep = [(runs / f"beta={beta},lr={lr},{'x' * 20}={lr}" / file.name, without) for beta in (1, 4) for lr in (1, 2)]
    assert len({line.split()[0] for line in table(sweep).splitlines()[1:5]}) == 4


def test_encode_gives_what_the_encoder_gives(tool: Tool, runs: Path) -> None:
    for split, count in (("test", 297), ("val", 200), ("train", 1300)):
        done = tool("encode", f"run={runs}/mlp", f"split={split}")
        assert done.returncode == 0 and done.stderr == "" and f"{count:,} images" in done.stdout
        arrays = np.load(runs / "mlp" / "encodings" / f"{split}.npz")
        images, labels = getattr(open_run(runs / "mlp").data(), f"{split}_split")
        mean, log_var = load_run(runs / "mlp").encode(images / 255)
        assert np.allclose(arrays["mean"], mean.detach(), atol=1e-5)
        assert np.allclose(arrays["log_var"], log_var.detach(), atol=1e-5)
        assert np.array_equal(arrays["labels"], labels)


def test_encode_reports_a_split_that_a_run_does_not_have(tool: Tool, runs: Path) -> None:
    config = runs / "mlp" / ".hydra" / "config.yaml"
    config.write_text(config.read_text().replace("val_size: 200", "val_size: 0"))
    done = tool("encode", f"run={runs}/mlp", "split=val")
    assert done.returncode == 1 and "split=val: the run held no images out (data.val_size=0)." in done.stderr


def test_generate_draws_samples_reproducibly(tool: Tool, runs: Path) -> None:
    for name in ("mlp", "plane"):
        done = tool("generate", f"run={runs}/{name}", "count=10", "seed=4", "temperature=0.5")
        assert done.returncode == 0 and done.stderr == ""
        arrays = np.load(runs / name / "generated" / "samples_10_seed4_temperature0.5.npz")
        vae = load_run(runs / name)
        expected = vae.sample(10, torch.Generator().manual_seed(4), temperature=0.5).detach().numpy()
        assert np.allclose(arrays["images"], expected, atol=1e-6)
        assert np.allclose(vae.decode(torch.from_numpy(arrays["codes"])).detach(), expected, atol=1e-6)
        with Image.open(runs / name / "generated" / "samples_10_seed4_temperature0.5.png") as picture:
            assert picture.size == (4 * 86 - 2, 3 * 86 - 2)


def test_generate_works_on_images_with_labels(tool: Tool, runs: Path) -> None:
    done = tool("generate", f"run={runs}/conv", "like=3,7", "seed=1")
    assert done.returncode == 0 and done.stderr == ""
    arrays = np.load(runs / "conv" / "generated" / "like_3_7_seed1_temperature1.npz")
    assert arrays["labels"].tolist() == [3, 7] and arrays["originals"].shape == (2, 10, 1, 28, 28)
    assert set(np.unique(arrays["originals"])) == {0, 1}  # as the run saw them: binarised
    with Image.open(runs / "conv" / "generated" / "like_3_7_seed1_temperature1.png") as picture:
        assert picture.width > 1200


@pytest.fixture(scope="module")
def conditional(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that is conditional, and has a learned prior, a richer posterior and another likelihood."""
    folder = tmp_path_factory.mktemp("conditional") / "run"
    parts = ("conditional=true", "prior=mixture", "posterior=full_covariance", "likelihood=discretized_logistic")
    small = ("model.hidden_dims=[32]", "latent_dim=2", "max_epochs=2", "lr=3e-3")
    train(composed("data=digits", "accelerator=cpu", *parts, *small), folder)
    return folder


def test_a_conditional_run_has_all_its_figures_but_the_kl_of_each_dimension(conditional: Path) -> None:
    drawn = {path.stem for path in (conditional / "figures").glob("*.png")}
    assert drawn >= {"results", "samples", "latent_space", "manifold", "traversals", "interpolations", "uncertainty"}
    assert "kl_per_dimension" not in drawn


def test_generate_makes_sevens(tool: Tool, conditional: Path) -> None:
    done = tool("generate", f"run={conditional}", "label=7", "count=6")
    assert done.returncode == 0 and "label7" in done.stdout, done.stderr
    made = np.load(next((conditional / "generated").glob("*label7*.npz")))
    assert made["labels"].tolist() == [7] * 6
    vae, sevens = load_run(conditional), torch.full((6,), 7)
    with torch.no_grad():
        np.testing.assert_allclose(made["images"], vae.decode(torch.from_numpy(made["codes"]), sevens), atol=1e-6)
    done = tool("generate", f"run={conditional}", "count=12")
    made = np.load(next((conditional / "generated").glob("samples_12_seed*.npz")))
    assert made["labels"].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    assert tool("generate", f"run={conditional}", "label=10").stderr == "error: label=10: it must be from 0 to 9.\n"


@pytest.mark.parametrize(
    ("name", "words"), [("evaluate", ["nll.samples=3"]), ("encode", []), ("generate", ["like=3,7"])]
)
def test_the_other_tools_heed_the_labels_too(tool: Tool, conditional: Path, name: str, words: list[str]) -> None:
    done = tool(name, f"run={conditional}", *words)
    assert done.returncode == 0 and not done.stderr
    if name == "encode":
        stored = np.load(conditional / "encodings" / "test.npz")
        images, labels = open_run(conditional).data().fixed("test")
        with torch.no_grad():
            posterior = load_run(conditional).encode(images / 255, labels)
        np.testing.assert_allclose(stored["mean"], posterior.mean, atol=1e-5)
        np.testing.assert_allclose(stored["log_var"], posterior.log_var, atol=1e-4)


SMALL = {"gmm": ["components=3"], "flow": ["layers=2", "hidden_dim=8"], "vamp": ["components=5"]}


@pytest.mark.parametrize("density", SMALL)
def test_a_fitted_prior_is_used_by_the_tools_beside_the_trained_one(tool: Tool, runs: Path, density: str) -> None:
    folder = runs / "mlp"
    assert tool("evaluate", f"run={folder}", "nll.samples=2").returncode == 0
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    done = tool("fit_prior", f"run={folder}", f"density={density}", "max_epochs=3", *SMALL[density])
    assert done.returncode == 0 and done.stderr == ""
    for name, *words in (["evaluate", "nll.samples=2"], ["generate", "count=4"], ["figures"]):
        used = tool(name, f"run={folder}", f"prior={density}", *words)
        assert used.returncode == 0 and used.stderr == ""
    assert {path: path.read_bytes() for path in before} == before
    with_prior, trained = (
        json.loads((folder / f"evaluation{end}.json").read_text()) for end in (f"_prior-{density}", "")
    )
    assert with_prior["prior"] == density and trained["prior"] == "trained"
    assert with_prior["test/reconstruction"] == trained["test/reconstruction"]
    assert with_prior["test/nll"] != trained["test/nll"]
    printed = [f"{number(values['test/elbo'], 3)}" for values in (trained, with_prior)]
    assert next(line.split()[2:] for line in done.stdout.splitlines() if line.startswith("test ELBO")) == printed
    arrays = np.load(folder / "generated" / f"samples_4_seed0_temperature1_prior-{density}.npz")
    vae = load_run(folder, prior=density)
    assert np.allclose(arrays["codes"], vae.prior.sample(4, torch.Generator().manual_seed(0)), atol=1e-6)
    assert (folder / f"figures_prior-{density}" / "samples.png").exists()


def test_a_prior_is_fitted_without_a_validation_split_and_for_the_last_epoch(tool: Tool, runs: Path) -> None:
    config = runs / "mlp" / ".hydra" / "config.yaml"
    config.write_text(config.read_text().replace("val_size: 200", "val_size: 0"))
    done = tool("fit_prior", f"run={runs}/mlp", "density=gmm", "max_epochs=1", "checkpoint=last")
    assert done.returncode == 0 and "the codes of 1,350 training images, 150 held out" in done.stdout
    assert (runs / "mlp" / "priors" / "gmm_last.ckpt").exists()
    assert tool("generate", f"run={runs}/mlp", "prior=gmm", "checkpoint=last", "count=1").returncode == 0


def test_a_conditional_run_can_have_a_mixture_but_no_vampprior(tool: Tool, conditional: Path) -> None:
    done = tool("fit_prior", f"run={conditional}", "density=vamp")
    assert done.returncode == 1 and "density=vamp: this run is conditional" in done.stderr
    assert tool("fit_prior", f"run={conditional}", "density=gmm", "max_epochs=1").returncode == 0
    assert tool("generate", f"run={conditional}", "label=7", "count=2", "prior=gmm").returncode == 0


def test_figures_are_drawn_again(tool: Tool, runs: Path) -> None:
    figures = runs / "plane" / "figures"
    before = {path.name: path.read_bytes() for path in figures.iterdir() if path.is_file()}
    for name in before:
        (figures / name).unlink()
    done = tool("figures", f"run={runs}/plane")
    assert done.returncode == 0 and done.stderr == ""
    assert {path.name: path.read_bytes() for path in figures.iterdir() if path.is_file()} == before
    assert all(name in done.stdout for name in before)


def test_files_of_the_last_epochs_weights_do_not_replace_those_of_the_best(tool: Tool, runs: Path) -> None:
    before = {path: path.read_bytes() for path in (runs / "mlp").rglob("*") if path.is_file()}
    for name in ("evaluate", "encode", "figures", "generate"):
        assert tool(name, f"run={runs}/mlp", "checkpoint=last").returncode == 0
    after = {path: path.read_bytes() for path in (runs / "mlp").rglob("*") if path.is_file()}
    assert {path: after[path] for path in before} == before
    new = {str(path.relative_to(runs / "mlp")) for path in after.keys() - before.keys()}
    assert {"evaluation_last.json", "encodings/test_last.npz", "figures_last/results.png"} <= new
    assert "generated/samples_100_seed0_temperature1_last.png" in new


def test_a_folder_that_cannot_be_written_is_reported(tool: Tool, runs: Path) -> None:
    (runs / "mlp" / "encodings").touch()
    done = tool("encode", f"run={runs}/mlp")
    remedy = "free space or allow writing there, or copy the run to another folder"
    assert done.returncode == 1
    assert done.stderr == f"error: {runs}/mlp/encodings/test.npz can't be written (File exists); {remedy}.\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "run"), [("evaluate", command), ("generate", forked), ("encode", forked), ("figures", forked)]
)
def test_a_tool_prints_what_is_needed_and_nothing_else(
    runs: Path, name: str, run: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    done = run(f"run={runs}/mlp", script=f"scripts/{name}.py")
    assert done.returncode == 0 and done.stderr == "" and str(runs / "mlp") in done.stdout


@pytest.mark.parametrize(
    ("script", "words", "name"),
    [
        ("generate", ["count=2"], "generated"),
        ("encode", [], "encodings"),
        ("figures", [], "figures"),
        ("export", ["checkpoint=last"], "export_last"),
    ],
)
def test_nothing_is_written_through_a_link_out_of_the_run(
    script: str, words: list[str], name: str, runs: Path, tmp_path: Path, tool: Callable[..., Done]
) -> None:
    """A stranger's folder has a link in it."""
    private, link = tmp_path / "private", runs / "mlp" / name
    private.mkdir()
    shutil.rmtree(link, ignore_errors=True)
    link.symlink_to(private)
    done = tool(script, f"run={runs}/mlp", *words)
    assert done.returncode == 1
    assert done.stderr == f"error: {link} leads outside the run's folder, to {private}; nothing was written.\n"
    assert not list(private.iterdir())
