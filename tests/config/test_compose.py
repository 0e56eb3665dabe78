import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from mnist_vae.config.compose import compose_run
from mnist_vae.config.hparams import choices_made
from mnist_vae.config.overrides import task_overrides
from mnist_vae.utils.errors import SettingsError
from tests.conftest import composed


def test_it_is_what_the_command_composes() -> None:
    words = ["model=conv", "latent_dim=16", "trainer.gradient_clip_val=1"]
    cfg, hydra = compose_run(words)
    assert OmegaConf.to_container(cfg) == OmegaConf.to_container(composed(*words), resolve=True)
    assert task_overrides(hydra) == words and choices_made(hydra)["model"] == "conv"


def test_the_folder_is_a_new_one_unless_given(tmp_path: Path) -> None:
    assert compose_run([])[1].run.dir.startswith("outputs/runs/20")
    assert compose_run([f"hydra.run.dir={tmp_path}"])[1].run.dir == str(tmp_path)
    for name in ("a b", "a=b", "${HOME}", "it's"):
        _, hydra = compose_run([], tmp_path / name)
        assert hydra.run.dir == hydra.runtime.output_dir == str(tmp_path / name)


def test_references_to_hydras_own_config_are_resolved(tmp_path: Path) -> None:
    cfg, _ = compose_run(["data.name=${hydra:runtime.output_dir}"], tmp_path / "run")
    assert cfg.data.name == str(tmp_path / "run")


@pytest.mark.parametrize(
    ("words", "posterior", "beta"),
    [
        (["objective=ae"], "Constant", 0),
        (["objective=rae"], "Constant", 1),
        (["beta=2", "objective=ae"], "Constant", 2),
        (["posterior=diagonal", "objective=rae"], "Diagonal", 1),  # which is refused later
    ],
)
def test_an_objective_chooses_its_posterior_and_beta_unless_they_are_given(
    words: list[str], posterior: str, beta: float
) -> None:
    cfg, _ = compose_run(words)
    assert cfg.posterior._target_.endswith(f".{posterior}") and cfg.beta == cfg.objective.beta == beta


def test_hydras_global_state_is_left_as_it_was() -> None:
    before = HydraConfig.instance().cfg
    compose_run([])
    assert HydraConfig.instance().cfg is before and not GlobalHydra.instance().is_initialized()


MISTAKES = [
    ("latent_dim=0", "latent_dim=0: it must be 1 or more"),
    ("latent_dmi=3", "latent_dmi: there is no such key; did you mean latent_dim?"),
    ("model=transformer", "model=transformer: there is no such choice"),
    ("nonsense", "nonsense"),
    ("latent_dim=2,4", "latent_dim=2,4"),
    ("seed=${nope}", "seed=${nope}: the reference can't be resolved"),
]


@pytest.mark.parametrize(("word", "message"), MISTAKES)
def test_a_mistake_is_a_sentence(word: str, message: str) -> None:
    with pytest.raises(SettingsError) as raised:
        compose_run([word])
    assert str(raised.value).startswith(message) and "\n" not in str(raised.value)


def test_further_config_groups_come_from_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "my conf"
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "small.yaml").write_text("defaults: [mlp]\nhidden_dims: [7]\n")
    monkeypatch.chdir(tmp_path)
    assert compose_run(["model=small"], config_dir="my conf")[0].model.hidden_dims == [7]
    with pytest.raises(SettingsError, match="config_dir=nope: there is no such folder"):
        compose_run([], config_dir="nope")


def test_a_process_composes_again_and_again_and_then_for_itself() -> None:
    code = (
        "import mnist_vae.config.compose as c\n"
        "from hydra import compose, initialize_config_dir\n"
        "assert [c.compose_run([f'latent_dim={n}'])[0].latent_dim for n in (2, 3)] == [2, 3]\n"
        "with initialize_config_dir(str(c.schema.CONFIGS / 'prior'), version_base='1.3'):\n"
        "    print(compose('vamp', return_hydra_config=True).hydra.launcher)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "BasicLauncher" in done.stdout, done.stderr


def test_nothing_heavy_is_imported() -> None:
    code = "import sys, mnist_vae.config.compose as c; c.compose_run([]); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
