"""Run one experiment, and leave a complete run folder."""

import logging
import math
import tempfile
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig
from pytorch_lightning.callbacks import StochasticWeightAveraging

from mnist_vae.config import checks, hparams
from mnist_vae.config.build import depends_on_max_epochs
from mnist_vae.config.combinations import check_processes
from mnist_vae.config.hparams import Choices
from mnist_vae.config.overrides import experiment_overrides, task_overrides
from mnist_vae.config.schema import Device
from mnist_vae.data.datamodule import ImageDataModule
from mnist_vae.figures.run_figures import RunSummary, draw_all
from mnist_vae.runs.checkpoints import read_checkpoint
from mnist_vae.runs.folder import RunFolder
from mnist_vae.runs.warm_start import warm_start
from mnist_vae.training import hardware, loggers
from mnist_vae.training.callbacks.epoch_recorder import EpochRecorder
from mnist_vae.training.callbacks.progress import Progress
from mnist_vae.training.callbacks.run_checkpoint import RunCheckpoint
from mnist_vae.training.callbacks.signals import StopOnTerminate
from mnist_vae.training.cluster import meeting_point, node_rank
from mnist_vae.training.console import opening, summary
from mnist_vae.training.distributed import run_on_processes
from mnist_vae.training.experiment import Experiment
from mnist_vae.training.quiet import quiet_lightning
from mnist_vae.training.trainer import build_trainer
from mnist_vae.utils.errors import RunFolderError, SettingsError, TrainingDiverged, first_line
from mnist_vae.utils.io import write_json
from mnist_vae.utils.pixels import to_unit
from mnist_vae.utils.text import plural

log = logging.getLogger(__name__)

PROJECTED = 2000  # test images in TensorBoard's projector


def train(cfg: DictConfig, folder: str | Path, hydra: Any = None, wait: bool = False) -> dict[str, float | str]:
    """Run the experiment that `cfg` describes in `folder`, or finish it there; return its final metrics.

    A folder in which the same experiment was interrupted is resumed from the end of its last complete epoch, and ends
    as if there had been no interruption. A complete one is left as it is, unless `cfg` has more epochs: then it goes
    on to these. With trainer.fast_dev_run, nothing is kept.

    Args:
        cfg: a config of the schema config.schema.Config.
        folder: the run's folder; docs/runs.md describes its contents.
        hydra: Hydra's own config (HydraConfig.get()), kept beside `cfg` when there is one.
        wait: if another process holds the folder, wait for it, instead of refusing: a sweep that was killed may have
            left a job behind that still runs.

    Raises:
        UserError: a value, the data or the folder is not right; nothing was started.
        TrainingDiverged: the loss stopped being a finite number.
    """
    checks.check(cfg)
    run = RunFolder(folder, None if hydra is None else hydra.output_subdir)
    run.refuse_other_configuration(cfg, more_epochs=True)
    if cfg.trainer.fast_dev_run:
        return _try_out(cfg, hydra)
    if run.complete and not run.is_extended_by(cfg):
        log.info(f"{run.path} is complete already; nothing is left to do.")
    else:
        threads = run.read_threads()
        if threads and threads != torch.get_num_threads():
            log.info(f"on {plural(threads, 'thread')}, as this run began: their number changes the results' rounding")
        with hardware.pinned_threads(threads):
            _finish(cfg, run, hydra, wait)
    if node_rank(cfg.accelerator.num_nodes) > 0:
        return {}  # the first machine reports the result
    metrics = run.read_metrics()
    log.info(summary(metrics, run.path, cfg.logger))
    return metrics


def _try_out(cfg: DictConfig, hydra: Any) -> dict[str, float | str]:
    """Run a batch of training, validation and test in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        _finish(cfg, RunFolder(folder), hydra, wait=False)
    log.info("trainer.fast_dev_run: training, validation and test ran without an error; nothing was kept.")
    return {}


def _finish(cfg: DictConfig, run: RunFolder, hydra: Any, wait: bool) -> None:
    device = hardware.resolve_device(cfg.accelerator.accelerator)
    processes = hardware.resolve_processes(cfg.accelerator.devices, device)
    num_nodes = cfg.accelerator.num_nodes
    if cfg.accelerator.precision == "16-mixed" and device is Device.cpu:
        raise SettingsError("accelerator.precision=16-mixed: it needs a GPU; on the CPU use bf16-mixed or 32-true.")
    choices = hparams.choices_made(hydra)
    overrides = task_overrides(hydra) if hydra is not None else []
    named = choices, experiment_overrides(overrides)
    experiment = Experiment(cfg, *named)  # every other mistake in the config shows here, before the folder is touched
    check_processes(cfg, choices, experiment.module.objective, processes * num_nodes)
    warm_start(experiment.module.vae, cfg, run)  # a first time, so that weights that do not fit show here too
    extended = run.is_extended_by(cfg)
    if extended and run.last.exists():
        check_extension(experiment)
    name = hardware.device_name(device)
    if num_nodes > 1:
        address, port = meeting_point(num_nodes)
        log.info(f"machine {node_rank(num_nodes) + 1} of {num_nodes}; all of them meet at {address}:{port}")
    if node_rank(num_nodes) > 0:  # only the first machine writes to the folder
        run_on_processes(run_rank, processes, cfg, named, str(run.path), device, processes, num_nodes=num_nodes)
        return
    with run.claimed(cfg, wait):
        if run.complete:
            return
        if hydra is not None:
            run.write_hydra(overrides, hydra)
        world = processes * num_nodes
        # A run goes on with the number of threads that it began with.
        hint = hardware.busy_hint() if device is Device.cpu and run.read_threads() is None else None
        write_json(run.environment, hardware.describe() | {"device": name, "processes": world})
        log.info(opening(cfg, choices, experiment.module.vae, experiment.data, name, world))
        if hint:
            log.info(hint)
        if extended:
            log.info(f"extended to {plural(hparams.epochs_planned(cfg), 'epoch')}")
        if world > 1:
            run_on_processes(run_rank, processes, cfg, named, str(run.path), device, processes, num_nodes=num_nodes)
        else:
            _run(experiment, run, device, processes)


def check_extension(experiment: Experiment) -> None:
    """Raise SettingsError if the epochs trained so far would have been others with more epochs to come."""
    cfg, callbacks = experiment.cfg, experiment.callbacks
    dependent = []
    if depends_on_max_epochs(cfg):
        dependent.append(f"schedule={hparams.choice(cfg, experiment.choices, 'schedule')}")
    dependent += [type(other).__name__ for other in callbacks if isinstance(other, StochasticWeightAveraging)]
    if dependent:
        raise SettingsError(
            f"max_epochs={hparams.epochs_planned(cfg)}: this run was begun with fewer, and {' and '.join(dependent)} "
            "depends on their number, so the epochs trained so far would have been others; train a new run by "
            "hydra.run.dir=… (with schedule=constant, a run can be given more epochs later)."
        )


def run_rank(cfg: DictConfig, named: tuple[Choices, list[str]], folder: str, device: Device, processes: int) -> None:
    """Do one process's share of an experiment in several processes."""
    _run(Experiment(cfg, *named), RunFolder(folder), device, processes)


def _run(experiment: Experiment, run: RunFolder, device: Device, processes: int) -> None:
    """Train, test the best epoch's weights, and complete the run's folder."""
    cfg, module, data = experiment.cfg, experiment.module, experiment.data
    steps = _steps_done(run)
    if steps:
        log.info(f"continuing after step {steps}")
    start = warm_start(module.vae, cfg, run)
    if start:
        log.info(start.sentence)
    recorder = EpochRecorder(run.path)
    checkpoint = RunCheckpoint(recorder, cfg.monitor, cfg.monitor_mode)
    callbacks = [*experiment.callbacks, *_own_callbacks(cfg, experiment.callbacks, recorder, checkpoint)]
    with quiet_lightning():
        from tqdm.contrib.logging import logging_redirect_tqdm  # warns in a notebook without ipywidgets

        hardware.stop_searching_for_gpus()
        trainer = build_trainer(cfg, run, device, processes, callbacks, last_step=steps - 1)
        if start and trainer.is_global_zero:
            write_json(run.warm_start, start.record)
        finished = False
        try:
            for logger in trainer.loggers:  # the config itself is logged by Lightning, with the module
                logger.log_hyperparams({"choices": dict(experiment.choices)})
            with logging_redirect_tqdm():
                trainer.fit(module, data, ckpt_path=str(run.last) if steps else None)
                if cfg.trainer.fast_dev_run:
                    trainer.test(module, data, verbose=False)
                    return
                content = read_checkpoint(run.best)
                # Given the path, Lightning would restore the callbacks of that epoch too, and with them forget the
                # epochs since.
                module.load_state_dict(content["state_dict"])
                module.on_load_checkpoint(content)
                final = {"best_epoch": int(content["epoch"]) + 1, **_evaluate(trainer, module, data)}
            if trainer.is_global_zero:
                _conclude(experiment, run, recorder, trainer, final)
            finished = True
        finally:
            loggers.close(trainer.loggers, failed=not finished)


def _own_callbacks(
    cfg: DictConfig, others: list[pl.Callback], recorder: EpochRecorder, checkpoint: RunCheckpoint
) -> list[pl.Callback]:
    own: list[pl.Callback] = [StopOnTerminate()]
    if cfg.trainer.enable_progress_bar and not any(isinstance(other, pl.callbacks.ProgressBar) for other in others):
        own.append(Progress())
    return own if cfg.trainer.fast_dev_run else [*own, recorder, checkpoint]


def _evaluate(trainer: Any, module: pl.LightningModule, data: ImageDataModule) -> dict[str, float]:
    """Validation and test metrics of the module's present weights.

    The validation metrics of the epochs can be of other weights: trainer.val_check_interval validates before an epoch
    ends, and weights can be averaged after the last one.
    """
    val: Any = []
    if len(data.val_split[0]) and trainer.limit_val_batches != 0:
        # Without loggers, whose curves have the epochs' validations, and without callbacks, of which WeightAveraging
        # would exchange the weights.
        loggers, callbacks = trainer.loggers, trainer.callbacks
        trainer.loggers, trainer.callbacks = [], []
        val = trainer.validate(module, data, verbose=False)
        trainer.loggers, trainer.callbacks = loggers, callbacks
    (test,) = trainer.test(module, data, verbose=False)
    return {name: float(value) for values in (*val, test) for name, value in values.items()}


def _conclude(
    experiment: Experiment, run: RunFolder, recorder: EpochRecorder, trainer: pl.Trainer, final: dict[str, float]
) -> None:
    """Write the loggers' last entries, the figures, and metrics.json."""
    cfg, module, data = experiment.cfg, experiment.module, experiment.data
    test = {name: value for name, value in final.items() if name.startswith("test/")}
    if not all(math.isfinite(value) for value in test.values()):
        raise TrainingDiverged(f"the tested weights give no finite numbers: {test}; a lower lr usually helps.")
    rows = recorder.rows
    metrics = _final_metrics(experiment, recorder, final, run.extended_from)
    title = hparams.title(cfg, experiment.choices)
    summary = RunSummary(title, module.vae, data.test_split, data.classes, rows, metrics)
    for logger in trainer.loggers:
        if isinstance(logger, loggers.TensorBoard):
            headline = hparams.headline(cfg, experiment.choices, experiment.overrides)
            _write_tensorboard_end(logger, summary, headline, step=trainer.global_step)
        logger.save()
    draw_all(summary, run.path / "figures")
    run.write_metrics(metrics)


def _write_tensorboard_end(board: loggers.TensorBoard, run: RunSummary, headline: dict[str, Any], step: int) -> None:
    board.write_headline(headline, step)
    few = slice(PROJECTED)
    labels = [int(label) for label in run.class_indices[few]]
    board.write_projector(run.posterior.mean[few], to_unit(run.images[few]), labels, run.classes, step)


def _steps_done(run: RunFolder) -> int:
    """Steps to resume after, 0 for none. Both checkpoints are read, so that damage is found before training."""
    if not run.last.exists():
        return 0
    try:
        read_checkpoint(run.best)
        return int(read_checkpoint(run.last)["global_step"])
    except (RunFolderError, KeyError) as error:
        raise RunFolderError(
            f"{run.path} can't be resumed: {first_line(error)} Delete its folder checkpoints to begin again."
        ) from error


def _final_metrics(
    experiment: Experiment, recorder: EpochRecorder, final: dict[str, float], earlier: list[int]
) -> dict[str, float | str]:
    rows, cfg = recorder.rows, experiment.cfg
    seconds = sum(row["seconds"] for row in rows)
    values: dict[str, float | str] = dict(final)
    values |= {
        "train/loss": rows[-1]["train/loss"],
        "epochs": len(rows),
        "parameters": experiment.module.vae.count_parameters(),
        "train_seconds": round(seconds, 3),
        "images_per_second": round(recorder.images / seconds, 1),
        "dataset": cfg.data.name,
        "binarize": cfg.data.binarize.name,
    }
    earlier = [epochs for epochs in earlier if epochs < len(rows)]  # else it had been stopped early, and stays so
    return values | ({"extended_from": earlier[-1]} if earlier else {})
