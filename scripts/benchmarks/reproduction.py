"""Suite `reproduction`: the first epochs of models of pythae's table of reproduced results, trained by both.

Network, data, batch size, optimiser and schedule of both are those of this project's experiments, after Burda et al.
(2016), as in pythae's scripts for MIWAE, PIWAE and CIWAE. Those for the VAE, IWAE and VAMP have fixed binarised images,
and for VAE and VAMP other networks. Both begin with the same weights, and are scored by the same estimator on the same
test images.
"""

import itertools
import tempfile
import time
from typing import Any, NamedTuple

import torch
from omegaconf import DictConfig
from torch import Tensor, nn
from torch.utils.data import Dataset

from benchmarks.competitors import copy_from_pythae, copy_to_pythae, is_installed, pythae_model, silence
from benchmarks.results import Comparison, Measured, Results
from benchmarks.training import composed
from mnist_vae.analysis.importance_sampling import importance_weights
from mnist_vae.config.build import build_data, build_vae
from mnist_vae.data.datamodule import ImageDataModule
from mnist_vae.models.vae import VAE
from mnist_vae.runs.load import load_run
from mnist_vae.training.train import train
from mnist_vae.utils.errors import UserError
from mnist_vae.utils.pixels import to_unit
from mnist_vae.utils.seeding import seed_everything

IMAGES, SAMPLES = 2000, 5000  # of the test set, and for each of them
STAGES = [1, 4, 13, 40, 121, 364, 1093]  # epochs after which the learning rate falls


class Model(NamedTuple):
    """An experiment of ours, and pythae's model of it."""

    experiment: str
    kind: str
    options: dict[str, Any]


MODELS = (
    Model("iwae_vae_k1", "VAE", {}),
    Model("iwae_k50", "IWAE", {"number_samples": 50}),
    Model("miwae", "MIWAE", {"number_samples": 8, "number_gradient_estimates": 8}),
    Model("piwae", "PIWAE", {"number_samples": 8, "number_gradient_estimates": 8}),
    Model("ciwae", "CIWAE", {"number_samples": 64, "beta": 0.05}),
    Model("iwae_vamp", "VAMP", {"number_components": 500, "linear_scheduling_steps": 0}),
)

DIFFERENCES = [
    "VAE: pythae's KL is in closed form, ours is sampled, as Burda et al. have it",
    "PIWAE: pythae's encoder has the gradients of both bounds, since it is stepped after the decoder's backward pass; "
    "ours has that of the MIWAE bound only, as published",
]


def suite(rounds: int, overrides: list[str], models: tuple[Model, ...] = MODELS) -> Results:
    """Every model for `rounds` epochs, ours and then pythae's.

    Raises:
        UserError: pythae is not installed.
    """
    if not is_installed("pythae"):
        raise UserError("suite=reproduction trains pythae's models beside ours: pip install pythae.")
    results = Results("reproduction")
    for model in models:
        quiet = "callbacks=none", "logger=none", "trainer.enable_progress_bar=false"
        cfg = composed(f"experiment={model.experiment}", f"max_epochs={rounds}", *quiet, *overrides)
        data = build_data(cfg)
        nll = {}
        for name, (vae, seconds) in {"ours": _ours(cfg), "pythae": _theirs(model, cfg)}.items():
            nll[name] = Measured(f"{model.kind}: {name}, NLL", "nats", _nll(vae, data, cfg.seed))
            results.measured += [nll[name], Measured(f"{model.kind}: {name}, an epoch", "s", [seconds / rounds])]
        differences = [ours - theirs for ours, theirs in zip(*(one.values for one in nll.values()), strict=True)]
        results.comparisons.append(Comparison(f"{model.kind}: NLL, ours - pythae", differences, unit="nats"))
    results.notes += DIFFERENCES
    results.notes.append(f"{rounds} epochs; NLL of {IMAGES:,} test images, by {SAMPLES:,} samples of each")
    return results


def _ours(cfg: DictConfig) -> tuple[VAE, float]:
    """The trained VAE, and the seconds of its training."""
    with tempfile.TemporaryDirectory() as folder:
        metrics = train(cfg, folder)
        return load_run(folder), float(metrics["train_seconds"])


def _theirs(model: Model, cfg: DictConfig) -> tuple[VAE, float]:
    """What `_ours` gives, of pythae's model, whose weights are moved into one of ours."""
    data = build_data(cfg)
    seed_everything(cfg.seed)
    vae = build_vae(cfg, data.image_shape)
    widths, latent_dim = tuple(cfg.model.hidden_dims), cfg.latent_dim
    twin = pythae_model(model.kind, widths, latent_dim, nn.Tanh, **model.options)
    copy_to_pythae(vae, twin)
    with tempfile.TemporaryDirectory() as folder, silence():
        trainer = _trainer(twin, Binarized(data.train_split[0]), cfg, folder)
        start = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - start
    copy_from_pythae(vae, trainer.model)
    return vae.eval(), seconds


def _trainer(twin: Any, images: Dataset[Any], cfg: DictConfig, folder: str) -> Any:
    """pythae's trainer; of PIWAE the one with an optimiser each for encoder and decoder, whose losses differ."""
    from pythae.trainers import BaseTrainer, BaseTrainerConfig, CoupledOptimizerTrainer, CoupledOptimizerTrainerConfig

    optimizer = {"optimizer_cls": "Adam", "optimizer_params": {"eps": cfg.optimizer.eps}, "learning_rate": cfg.lr}
    optimizer |= {"scheduler_cls": "MultiStepLR", "scheduler_params": {"milestones": STAGES, "gamma": 10 ** (-1 / 7)}}
    given = {"output_dir": folder, "num_epochs": cfg.max_epochs, "no_cuda": True}
    given["per_device_train_batch_size"] = cfg.batch_size
    if twin.model_name != "PIWAE":
        return BaseTrainer(twin, images, training_config=BaseTrainerConfig(**given, **optimizer))
    each = {
        f"{part}_{key}": value for part, (key, value) in itertools.product(("encoder", "decoder"), optimizer.items())
    }
    return CoupledOptimizerTrainer(twin, images, training_config=CoupledOptimizerTrainerConfig(**given, **each))


class Binarized(Dataset[Any]):
    """Images (n, ...), uint8, drawn anew at each access with the grey levels as probabilities."""

    def __init__(self, images: Tensor) -> None:
        self.images = images.flatten(1)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Any:
        from pythae.data.datasets import DatasetOutput

        probability = to_unit(self.images[index])
        return DatasetOutput(data=(torch.rand_like(probability) < probability).float())


@torch.no_grad()
def _nll(vae: VAE, data: ImageDataModule, seed: int) -> list[float]:
    """Mean of the first test images, in a list."""
    images, labels = (values[:IMAGES] for values in data.fixed("test"))
    weights = importance_weights(vae, to_unit(images), labels, SAMPLES, seed)
    return [-float(weights.log_likelihood.mean())]
