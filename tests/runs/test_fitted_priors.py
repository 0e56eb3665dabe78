"""Priors in a run's folder, which may be damaged or hostile."""

from pathlib import Path

import pytest
import torch

import mnist_vae
from mnist_vae.config.build import build_prior
from mnist_vae.models.priors import Mixture
from mnist_vae.runs.fitted_priors import DENSITIES, prior_config, prior_file, write_prior
from mnist_vae.runs.load import open_run
from mnist_vae.utils.errors import RunFolderError, SettingsError


def put(folder: Path, density: str = "gmm", checkpoint: str = "best", **arguments: int) -> Path:
    """A prior with random weights, as scripts/fit_prior.py would leave it; return its file."""
    run = open_run(folder, checkpoint)
    torch.manual_seed(0)
    node = prior_config(density, arguments)
    prior = build_prior(node, run.vae.latent_dim, run.vae.image_shape)
    file = prior_file(run.folder, density, checkpoint)
    write_prior(file, run.vae, prior, node, epochs=3, log_likelihood=-1.5)
    return file


def edited(file: Path, **changes: object) -> None:
    torch.save(torch.load(file, weights_only=True) | changes, file)


@pytest.mark.parametrize(
    ("density", "arguments"), [("gmm", {"components": 4}), ("flow", {"layers": 2}), ("vamp", {"components": 3})]
)
def test_a_prior_is_read_as_it_was_written(runs: Path, density: str, arguments: dict[str, int]) -> None:
    file = put(runs / "mlp", density, **arguments)
    run, trained = open_run(runs / "mlp", prior=density), open_run(runs / "mlp")
    stored = torch.load(file, weights_only=True)
    assert stored["epochs"] == 3 and stored["log_likelihood"] == -1.5
    for name, value in run.vae.prior.state_dict().items():
        assert torch.equal(value, stored["state_dict"][name])
    for name, value in trained.vae.state_dict().items():
        assert torch.equal(value, run.vae.state_dict()[name])
    assert run.prior == density and run.suffix == f"_prior-{density}" and f"fitted {density} prior" in run.title
    assert trained.prior == "trained" and trained.suffix == "" and "prior" not in trained.title
    assert {name: run.cfg.prior[name] for name in arguments} == arguments
    assert run.vae.sample(3).shape == (3, 1, 28, 28) and not run.vae.prior.training
    assert mnist_vae.load_run(runs / "mlp", prior=density).prior.log_prob(torch.zeros(2, 5)).isfinite().all()


def test_the_checkpoints_have_priors_of_their_own(runs: Path) -> None:
    assert put(runs / "mlp", "gmm", "last").name == "gmm_last.ckpt"
    assert open_run(runs / "mlp", "last", prior="gmm").suffix == "_last_prior-gmm"
    with pytest.raises(RunFolderError, match=r"has none; .*density=gmm` fits it"):
        open_run(runs / "mlp", prior="gmm")


def test_a_mixture_has_the_papers_components_unless_others_are_given() -> None:
    mixture = build_prior(prior_config("gmm", {}), 2, (1, 4, 4))
    assert isinstance(mixture, Mixture) and mixture.components.scale_tril.shape == (10, 2, 2)
    for density in DENSITIES:
        with pytest.raises(SettingsError, match=r"prior.width: there is no such key"):
            build_prior(prior_config(density, {"width": 3}), 2, (1, 4, 4))


def test_a_prior_that_is_not_there_is_reported(runs: Path) -> None:
    with pytest.raises(SettingsError, match=r"prior=gnn: it must be trained, or one that was fitted: gmm, flow, vamp"):
        open_run(runs / "mlp", prior="gnn")
    with pytest.raises(SettingsError, match=r"prior=\.\./x"):
        open_run(runs / "mlp", prior="../x")
    put(runs / "mlp", "flow")
    with pytest.raises(
        RunFolderError, match=r"prior=gmm: of fitted priors .*mlp has only flow; `python scripts/fit_prior"
    ):
        open_run(runs / "mlp", prior="gmm")


def test_a_prior_of_other_weights_is_refused(runs: Path) -> None:
    file = put(runs / "mlp")
    edited(file, fitted_to="0" * 64)
    with pytest.raises(RunFolderError, match=r"was fitted to other weights than those of best.ckpt; .* fits it again"):
        open_run(runs / "mlp", prior="gmm")


def test_a_damaged_or_hostile_file_is_refused(runs: Path, tmp_path: Path) -> None:
    folder, mark = runs / "mlp", tmp_path / "owned"
    file = put(folder, components=2)
    whole = torch.load(file, weights_only=True)
    hostile = {"_target_": "os.system", "command": f"touch {mark}"}
    huge = whole["prior"] | {"components": 10_000_000}
    nan = {name: value * torch.nan for name, value in whole["state_dict"].items()}
    for changes, kind, message in [
        ({"prior": hostile}, SettingsError, r"prior\._target_=os.system: .* only classes from"),
        ({"prior": huge}, RunFolderError, "smaller than the weights that the config asks for"),
        ({"prior": 3}, RunFolderError, "is damaged"),
        ({"prior": whole["prior"] | {"components": 3}}, RunFolderError, "is damaged"),
        ({"state_dict": nan}, RunFolderError, "not finite numbers"),
    ]:
        edited(file, **(whole | changes))
        with pytest.raises(kind, match=message):
            open_run(folder, prior="gmm")
    file.write_bytes(b"not much")
    with pytest.raises(RunFolderError, match="is damaged"):
        open_run(folder, prior="gmm")
    assert not mark.exists()


def test_a_folder_of_priors_that_leads_elsewhere_is_refused(runs: Path, tmp_path: Path) -> None:
    (runs / "mlp" / "priors").symlink_to(tmp_path)
    with pytest.raises(RunFolderError, match="leads outside the run's folder"):
        put(runs / "mlp")
