"""Uses of private names of other libraries, each with its reason and the public name that would replace it."""

from typing import Any


def gradient_scale(trainer: Any, optimizer: Any) -> float:
    """Factor by which gradients are still scaled in `on_before_optimizer_step`; not 1 for fused optimisers in 16-mixed.

    A fused optimiser unscales the gradients itself, inside its step. Torch marks such optimisers by the private
    attribute `_step_supports_amp_scaling`, which Lightning reads too. To be replaced by a public attribute.

    Args:
        trainer: Lightning trainer.
        optimizer: torch optimiser.
    """
    scaler = getattr(trainer.precision_plugin, "scaler", None)
    if scaler is None or not getattr(optimizer, "_step_supports_amp_scaling", False):
        return 1.0
    return scaler.get_scale()


def optuna_trial(study: Any, number: int) -> Any:
    """Return a running trial of an Optuna study by its number, for reports from another process than its creator.

    `optuna.trial.Trial` is constructed from the id in the storage, which a frozen trial has only as the private
    `_trial_id`. To be replaced when a study has a public method for its running trials.
    """
    from optuna.trial import Trial

    return Trial(study, study.trials[number]._trial_id)


def sbatch_script(executor: Any, jobs: int) -> str:
    """Text of the script that submitit's AutoExecutor for SLURM would submit for an array of `jobs` jobs.

    submitit writes it only when it submits. To be replaced when submitit has a public method for it.
    """
    slurm = executor._executor
    slurm.parameters["map_count"] = jobs
    return slurm._make_submission_file_text(slurm._submitit_command_str, "sweep")
