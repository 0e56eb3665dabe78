"""Private names of other libraries that this project depends on, each with its reason and what would replace it."""

from typing import Any

# Hydra has no public sweeper to derive from that splits overrides into jobs; its own plugins derive from this one too.
# To be replaced by a public BasicSweeper.
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

__all__ = ["BasicSweeper", "gradient_scale", "optuna_trial", "sbatch_script"]


def gradient_scale(trainer: Any, optimizer: Any) -> float:
    """The loss scale that gradients still carry in `on_before_optimizer_step`; 1 but for fused optimisers in 16-mixed.

    Such an optimiser takes the loss scale out of the gradients itself, inside its step; torch marks it by the private
    `_step_supports_amp_scaling`, which Lightning reads too. To be replaced by whatever public mark torch gives it.
    """
    scaler = getattr(trainer.precision_plugin, "scaler", None)
    if scaler is None or not getattr(optimizer, "_step_supports_amp_scaling", False):
        return 1.0
    return scaler.get_scale()


def optuna_trial(study: Any, number: int) -> Any:
    """The trial of that number, to report to from another process than the one that asked for it.

    `optuna.trial.Trial` is made from the storage's id, which a frozen trial has only as the private `_trial_id`. To be
    replaced when a study gives out its running trials.
    """
    from optuna.trial import Trial

    return Trial(study, study.trials[number]._trial_id)


def sbatch_script(executor: Any, jobs: int) -> str:
    """The text that submitit's AutoExecutor for SLURM would hand to sbatch for an array of jobs.

    submitit only writes it while it submits. To be replaced when submitit can show what it would submit.
    """
    slurm = executor._executor
    slurm.parameters["map_count"] = jobs
    return slurm._make_submission_file_text(slurm._submitit_command_str, "sweep")
