"""Each private name that is used still exists, so that a release which removes one is noticed at once."""

from types import SimpleNamespace

import optuna
import pytest
import torch
from submitit.auto.auto import AutoExecutor

from mnist_vae.utils import compat
from mnist_vae.utils.compat import gradient_scale, optuna_trial


@pytest.mark.parametrize("fused", [True, False])
def test_gradients_of_fused_optimisers_carry_the_loss_scale(fused: bool) -> None:
    optimizer = torch.optim.Adam([torch.zeros(1, requires_grad=True)], fused=fused)
    scaler = SimpleNamespace(get_scale=lambda: 8.0)
    scaled = SimpleNamespace(precision_plugin=SimpleNamespace(scaler=scaler))
    assert gradient_scale(scaled, optimizer) == (8.0 if fused else 1.0)
    assert gradient_scale(SimpleNamespace(precision_plugin=object()), optimizer) == 1.0


def test_a_trial_can_be_reported_to_by_its_number() -> None:
    study = optuna.create_study()
    study.ask()
    number = study.ask().number
    optuna_trial(study, number).report(1.5, step=3)
    assert [trial.intermediate_values for trial in study.trials] == [{}, {3: 1.5}]


def test_submitits_script_is_of_all_jobs(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "srun").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    executor = AutoExecutor(tmp_path / "logs", cluster="slurm")
    executor.update_parameters(timeout_min=7, slurm_array_parallelism=2)
    script = compat.sbatch_script(executor, 3)
    assert "#SBATCH --array=0-2%2" in script and "#SBATCH --time=7" in script
