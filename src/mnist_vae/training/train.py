"""train(cfg): assemble one experiment, run it, and leave a complete run folder."""

import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from omegaconf import DictConfig
from pytorch_lightning.loggers import Logger
from pytorch_lightning.plugins.environments import LightningEnvironment
from pytorch_lightning.strategies import DDPStrategy
from tqdm.contrib.logging import logging_redirect_tqdm

from mnist_vae.config import checks, hparams
from mnist_vae.config.build import build_data, build_vae
from mnist_vae.config.combinations import check_combination, check_processes
from mnist_vae.config.instantiate import instantiate
from mnist_vae.config.overrides import experiment_overrides
from mnist_vae.config.schema import Device
from mnist_vae.data.datamodule import ImageDataModule
from mnist_vae.data.images import to_unit
from mnist_vae.figures.run_figures import Portrait, draw_all
from mnist_vae.runs.checkpoints import AtomicCheckpointIO, read_checkpoint
from mnist_vae.runs.folder import RunFolder
from mnist_vae.training import capture, hardware
from mnist_vae.training.callbacks import Progress, Recorder, StopOnTerminate
from mnist_vae.training.cluster import meeting_point, node_rank
from mnist_vae.training.console import opening, summary
from mnist_vae.training.distributed import run_on_processes
from mnist_vae.training.experiment import build_callbacks, build_objective, build_schedule, optimizer_maker
from mnist_vae.training.loggers import TensorBoard
from mnist_vae.training.module import VAEModule
from mnist_vae.utils.errors import RunFolderError, SettingsError, TrainingDiverged, first_line
from mnist_vae.utils.io import write_json
from mnist_vae.utils.seeding import seed_everything

log = logging.getLogger(__name__)

PROJECTED = 2000  # test images in TensorBoard's projector


def train(cfg: DictConfig, folder: str | Path, hydra: Any = None, wait: bool = False) -> dict[str, float | str]:
    """Run the experiment that `cfg` describes in `folder`, or finish it there; return its final metrics.

    A folder in which the same experiment was interrupted is taken up at the end of its last complete epoch, and
    ends as if there had been no interruption. A complete one is left as it is.

    Args:
        cfg: a config of the schema settings.Config.
        folder: the run's folder, the contents of which the README describes.
        hydra: Hydra's own config (HydraConfig.get()), kept beside `cfg` when there is one.
        wait: if another process holds the folder, wait for it, instead of refusing; a sweep that was killed may
            have left a job behind that is still at work, and its result will do.

    Raises:
        UserError: a value, the data or the folder is not right; nothing was started.
        TrainingDiverged: the loss stopped being a finite number.
    """
    checks.check(cfg)
    run = RunFolder(folder)
    run.refuse_other_configuration(cfg)
    if run.complete:
        log.info(f"{run.path} is complete already; nothing is left to do.")
    else:
        _finish(cfg, run, hydra, wait)
    if node_rank(cfg.accelerator.num_nodes) > 0:
        return {}  # what the run came to, the first machine tells
    metrics = run.read_metrics()
    log.info(summary(metrics, run.path))
    return metrics


def _finish(cfg: DictConfig, run: RunFolder, hydra: Any, wait: bool) -> None:
    device = hardware.resolve_device(cfg.accelerator.accelerator)
    processes = hardware.resolve_processes(cfg.accelerator.devices, device)
    num_nodes = cfg.accelerator.num_nodes
    if cfg.accelerator.precision == "16-mixed" and device is Device.cpu:
        raise SettingsError("accelerator.precision=16-mixed: it needs a GPU; on the CPU use bf16-mixed or 32-true.")
    parts = Parts(cfg)  # every other mistake in the config shows here, before the folder is touched
    check_processes(cfg, parts.module.objective, processes * num_nodes)
    name = hardware.device_name(device)
    overrides = list(hydra.overrides.task) if hydra is not None else []
    headline = hparams.headline(cfg, experiment_overrides(overrides))
    if num_nodes > 1:
        address, port = meeting_point(num_nodes)
        log.info(f"machine {node_rank(num_nodes) + 1} of {num_nodes}; all of them meet at {address}:{port}")
    if node_rank(num_nodes) > 0:  # the first machine keeps the books
        run_on_processes(run_rank, processes, cfg, str(run.path), device, processes, headline, num_nodes=num_nodes)
        return
    with run.claimed(cfg, wait):
        if run.complete:
            return
        if hydra is not None:
            run.write_hydra(overrides, hydra)
        world = processes * num_nodes
        write_json(run.path / "environment.json", hardware.describe() | {"device": name, "processes": world})
        log.info(opening(cfg, parts.vae, parts.data, name, world))
        if world > 1:
            run_on_processes(run_rank, processes, cfg, str(run.path), device, processes, headline, num_nodes=num_nodes)
        else:
            _experiment(parts, cfg, run, device, processes, headline)


def run_rank(cfg: DictConfig, folder: str, device: Device, processes: int, headline: dict[str, Any]) -> None:
    """One process's share of an experiment in several processes."""
    _experiment(Parts(cfg), cfg, RunFolder(folder), device, processes, headline)


class Parts:
    """The objects that a config names, built and so checked."""

    def __init__(self, cfg: DictConfig) -> None:
        self.data = build_data(cfg)
        seed_everything(cfg.seed)  # so that the weights to start from depend on the seed alone
        self.vae = build_vae(cfg, self.data.image_shape, len(self.data.classes))
        make_optimizer = optimizer_maker(cfg)
        make_optimizer(self.vae.parameters())
        objective = build_objective(cfg, len(self.data.train_split[0]))
        check_combination(cfg, self.vae, objective)
        lr_factor = build_schedule(cfg)
        make_graph = capture.on_cuda if cfg.accelerator.cuda_graph else None
        log_every = cfg.logger.log_every_n_steps
        self.module = VAEModule(self.vae, objective, make_optimizer, cfg.seed, log_every, lr_factor, make_graph)
        self.callbacks = build_callbacks(cfg)
        for callback in self.callbacks:
            if str(getattr(callback, "monitor", "")).startswith("val/") and cfg.data.val_size == 0:
                raise SettingsError(
                    f"callbacks: {type(callback).__name__} watches {callback.monitor}, and data.val_size=0 leaves "
                    "nothing to validate on; hold images out, or choose callbacks=default."
                )


def _experiment(
    parts: Parts, cfg: DictConfig, run: RunFolder, device: Device, processes: int, headline: dict[str, Any]
) -> None:
    module, data = parts.module, parts.data
    last_step = _last_step(run)
    if last_step >= 0:
        log.info(f"continuing after step {last_step}")
    recorder = Recorder(run.path, getattr(module.objective, "best_by", "val/elbo"))
    with _quiet_lightning():
        callbacks = [*parts.callbacks, StopOnTerminate(), Progress(), recorder]
        trainer = _trainer(cfg, run, device, processes, callbacks, last_step)
        try:
            with logging_redirect_tqdm():
                trainer.fit(module, data, ckpt_path=str(run.last) if last_step >= 0 else None)
                # The weights to report are those of best.ckpt. Given its path, Lightning would also put the callbacks
                # back to where they were then, and the epochs since would be forgotten.
                module.load_state_dict(read_checkpoint(run.best)["state_dict"])
                trainer.test(module, data, verbose=False)
            if trainer.is_global_zero:
                _conclude(parts, cfg, run, recorder, trainer, headline)
        finally:
            for logger in trainer.loggers:
                if isinstance(logger, TensorBoard):
                    logger.close()


def _conclude(
    parts: Parts, cfg: DictConfig, run: RunFolder, recorder: Recorder, trainer: pl.Trainer, headline: dict[str, Any]
) -> None:
    """All that follows the test: figures, the loggers' last entries, and metrics.json."""
    module, data = parts.module, parts.data
    test = {name: value for name, value in module.results.items() if name.startswith("test/")}
    if not all(math.isfinite(value) for value in test.values()):
        raise TrainingDiverged(f"the weights to be tested give no finite numbers: {test}; a lower lr usually helps.")
    metrics = _final_metrics(cfg, recorder, module, data, test)
    portrait = Portrait(hparams.title(cfg), module.vae, data.test_split, data.classes, recorder.rows, metrics)
    for logger in trainer.loggers:
        _log_end(logger, portrait, test, headline, step=trainer.global_step + 1)
    draw_all(portrait, run.path / "figures")
    run.write_metrics(metrics)


def _log_end(logger: Logger, run: Portrait, test: dict[str, float], headline: dict[str, Any], step: int) -> None:
    """A logger's last entries. Their step is after the last epoch's, so that none is ever doubled."""
    if isinstance(logger, TensorBoard):
        logger.log_hyperparams(headline, metrics=test, step=step)
        few = slice(PROJECTED)
        names = [run.classes[place] for place in run.places[few]]
        logger.write_projector(run.posterior.mean[few], to_unit(run.images[few]), names, step)
    else:
        logger.log_metrics(test, step=step)
    logger.save()


def _last_step(run: RunFolder) -> int:
    """The step to resume from, -1 for none. Both checkpoints are read, so that damage shows before training does."""
    if not run.last.exists():
        return -1
    try:
        read_checkpoint(run.best)
        return int(read_checkpoint(run.last)["global_step"])
    except (RunFolderError, KeyError) as error:
        raise RunFolderError(
            f"{run.path} can't be resumed: {first_line(error)} Delete its folder checkpoints to begin again."
        ) from error


def _trainer(
    cfg: DictConfig, run: RunFolder, device: Device, processes: int, callbacks: list[Any], last_step: int
) -> pl.Trainer:
    hardware.stop_searching_for_gpus()  # here, where each of a run's processes comes by
    logger: Any = False
    if cfg.logger.backend is not None:
        logger = instantiate("logger.backend", cfg.logger.backend, folder=str(run.path), last_step=last_step)
    return pl.Trainer(
        default_root_dir=run.path,
        accelerator=device.value,
        devices=processes,
        num_nodes=cfg.accelerator.num_nodes,
        strategy=DDPStrategy() if processes * cfg.accelerator.num_nodes > 1 else "auto",
        precision=cfg.accelerator.precision,
        max_epochs=cfg.max_epochs,
        limit_val_batches=None if cfg.data.val_size else 0,
        logger=logger,
        callbacks=callbacks,
        # Processes are started by run_on_processes, also under SLURM, whose variables Lightning would go by.
        plugins=[AtomicCheckpointIO(), LightningEnvironment()],
        use_distributed_sampler=False,  # our batches are shared out in data.ImageDataset
        num_sanity_val_steps=0,
        enable_model_summary=False,
        log_every_n_steps=0,  # the module logs by itself, every logger.log_every_n_steps
    )


def _final_metrics(
    cfg: DictConfig, recorder: Recorder, module: VAEModule, data: ImageDataModule, test: dict[str, float]
) -> dict[str, float | str]:
    rows = recorder.rows
    seconds = sum(row["seconds"] for row in rows)
    values: dict[str, float | str] = dict(test)
    values |= {name: value for name, value in recorder.best.items() if name.startswith("val/")}
    values |= {
        "train/loss": rows[-1]["train/loss"],
        "epochs": len(rows),
        "best_epoch": recorder.best["epoch"],
        "parameters": module.vae.count_parameters(),
        "train_seconds": round(seconds, 3),
        "images_per_second": round(len(rows) * len(data.train_split[0]) / seconds, 1),
        "dataset": cfg.data.name,
        "binarize": cfg.data.binarize.name,
    }
    return values


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Keep what Lightning tells its own developers, and advice that does not hold here, off the console."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        for message in (
            ".*does not have many workers.*",  # batches are slices of a tensor; workers would only slow them down
            ".*isinstance\\(treespec, LeafSpec\\).*",
        ):
            warnings.filterwarnings("ignore", message=message)
        try:
            yield
        except SystemExit as stopped:  # how Lightning ends on Ctrl-C
            raise KeyboardInterrupt from stopped
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
