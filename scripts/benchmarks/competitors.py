"""Other ways to train the same VAE, which a run is timed against: each is what its user would write or pick.

All of them train on the same images as the run (784-400-20, or the same convolutions), with Adam at the run's learning
rate, and give the mean training loss of an epoch in nats per image.
"""

import contextlib
import importlib.util
import io
import itertools
import logging
import tempfile
from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode
from torchvision import datasets, transforms

from mnist_vae.models.networks.conv import Conv
from mnist_vae.models.priors import VampPrior
from mnist_vae.models.vae import VAE
from notebook import Notebook, steps

IMAGE = (1, 28, 28)


class Competitor(Protocol):
    """Something that trains, an epoch at a time."""

    name: str

    def epoch(self) -> float:
        """Train one; the mean loss per image."""
        ...


class NotebookLoop:
    """As tutorials have it: torchvision's MNIST as pictures, ToTensor, DataLoader, Adam, the loss read at each step."""

    name = "notebook loop"

    def __init__(self, images: Tensor, batch_size: int, lr: float) -> None:
        self.loader = DataLoader(pictures(images), batch_size=batch_size, shuffle=True)
        self.model = Notebook(latent_dim=20)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=lr)

    def epoch(self) -> float:
        total = 0.0
        for x, _ in self.loader:
            self.optimizer.zero_grad()
            loss = self.model.loss(x.view(-1, 784))
            loss.backward()
            total += loss.item()
            self.optimizer.step()
        return total / len(self.loader.dataset)  # type: ignore[arg-type]


class BareLoop:
    """Nothing but the arithmetic: the images as one tensor in memory, fused Adam, no framework."""

    name = "bare loop"

    def __init__(self, images: Tensor, batch_size: int, lr: float) -> None:
        self.images, self.batch_size = images.flatten(1), batch_size
        self.model: Any = Notebook()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=lr, fused=True)

    def epoch(self) -> float:
        return float(torch.stack(list(self.steps())).sum()) / len(self.images)

    def steps(self) -> Iterator[Tensor]:
        """An epoch, step by step: the sum of the loss over each batch."""
        return steps(self.model, self.optimizer, self.images, self.batch_size)


class ConvNotebook(nn.Module):
    """The layers of model=conv, with the loss of the notebook."""

    def __init__(self, latent_dim: int, channels: list[int], hidden_dim: int) -> None:
        super().__init__()
        network = Conv(IMAGE, latent_dim, 1, channels, hidden_dim)
        self.encoder, self.decoder = network.encoder, network.decoder
        self.head = nn.Linear(hidden_dim, 2 * latent_dim)

    def loss(self, x: Tensor) -> Tensor:
        x = x.view(-1, *IMAGE)
        mean, log_var = self.head(self.encoder(x)).chunk(2, dim=1)
        logits = self.decoder(mean + torch.randn_like(mean) * torch.exp(0.5 * log_var))
        reconstruction = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
        return reconstruction - 0.5 * torch.sum(1 + log_var - mean.pow(2) - log_var.exp())


class BareConvLoop(BareLoop):
    """The bare loop for the convolutions, which lie in memory with their channels innermost."""

    def __init__(self, images: Tensor, batch_size: int, lr: float, channels: list[int], hidden_dim: int) -> None:
        self.images, self.batch_size = images.flatten(1), batch_size
        self.model = ConvNotebook(20, channels, hidden_dim)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=lr, fused=True)


class Pythae:
    """pythae's VAE and trainer, with networks of the same size in the place of its own, which are wider.

    Its epoch has in it what the run's has: the loss on held-out images, and a checkpoint.
    """

    name = "pythae"

    def __init__(self, images: Tensor, batch_size: int, lr: float, held_out: Tensor) -> None:
        from pythae.data.datasets import BaseDataset
        from pythae.trainers import BaseTrainer, BaseTrainerConfig

        self.folder = tempfile.TemporaryDirectory()
        config = BaseTrainerConfig(
            output_dir=self.folder.name,
            per_device_train_batch_size=batch_size,
            learning_rate=lr,
            optimizer_cls="Adam",
            no_cuda=True,
        )
        data = [BaseDataset(part.flatten(1).float() / 255, torch.zeros(len(part))) for part in (images, held_out)]
        with silence():
            self.trainer = BaseTrainer(pythae_model(), *data, training_config=config)
            self.trainer.prepare_training()
        self.count = 0

    def epoch(self) -> float:
        self.count += 1
        with silence():
            loss = float(self.trainer.train_step(self.count))  # the mean of the batches' means
            self.trainer.eval_step(self.count)
            self.trainer.save_checkpoint(self.trainer.model, self.trainer.training_dir, self.count)
        return loss


def is_installed(package: str) -> bool:
    """Whether it can be imported."""
    return importlib.util.find_spec(package) is not None


def pythae_model(
    kind: str = "VAE",
    hidden_dims: tuple[int, ...] = (400,),
    latent_dim: int = 20,
    activation: type[nn.Module] = nn.ReLU,
    **options: Any,
) -> Any:
    """One of pythae's models, with an MLP, its output through a sigmoid, and binary cross-entropy, as pythae has it.

    Args:
        kind: name of the model's class.
        options: of the model's config, beside the sizes.
    """
    from pythae import models
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder

    def hidden(*sizes: int) -> nn.Sequential:
        pairs = itertools.pairwise(sizes)
        return nn.Sequential(*(layer for pair in pairs for layer in (nn.Linear(*pair), activation())))

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            BaseEncoder.__init__(self)
            self.hidden = hidden(784, *hidden_dims)
            self.mean, self.log_var = (nn.Linear(hidden_dims[-1], latent_dim) for _ in range(2))

        def forward(self, x: Tensor) -> Any:
            h = self.hidden(x.reshape(-1, 784))
            return ModelOutput(embedding=self.mean(h), log_covariance=self.log_var(h))

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            BaseDecoder.__init__(self)
            self.hidden = hidden(latent_dim, *reversed(hidden_dims))
            self.output = nn.Linear(hidden_dims[0], 784)

        def forward(self, z: Tensor) -> Any:
            return ModelOutput(reconstruction=torch.sigmoid(self.output(self.hidden(z))))

    sizes = {"input_dim": (784,), "latent_dim": latent_dim, "reconstruction_loss": "bce"}
    config = getattr(models, f"{kind}Config")(**sizes, **options)
    return getattr(models, kind)(config, Encoder(), Decoder())


@torch.no_grad()
def copy_to_pythae(vae: VAE, twin: Any) -> None:
    """Give pythae's model the weights of ours, an MLP of the same sizes; with a VampPrior, its pseudo-inputs too."""
    if isinstance(vae.prior, VampPrior):
        twin.pseudo_inputs[0].bias.zero_()
    for ours, theirs in _same_weights(vae, twin):
        theirs.copy_(ours)


@torch.no_grad()
def copy_from_pythae(vae: VAE, twin: Any) -> None:
    """Take the weights of pythae's model; see `copy_to_pythae`."""
    for ours, theirs in _same_weights(vae, twin):
        ours.copy_(theirs)
    if isinstance(vae.prior, VampPrior):
        vae.prior.unbounded.add_(twin.pseudo_inputs[0].bias.reshape(vae.image_shape))


def _same_weights(vae: VAE, twin: Any) -> Iterator[tuple[Tensor, Tensor]]:
    """Views of each weight of ours, with that of pythae's."""
    networks = ((vae.encoder, twin.encoder.hidden), (vae.decoder, twin.decoder))
    for ours, theirs in networks:
        for pair in zip(_linear_layers(ours), _linear_layers(theirs), strict=True):
            yield from zip(*(layer.parameters() for layer in pair), strict=True)
    mean_and_log_var = (parameter.chunk(2) for parameter in vae.to_posterior.parameters())
    heads = (layer.parameters() for layer in (twin.encoder.mean, twin.encoder.log_var))
    for ours_pair, theirs_pair in zip(mean_and_log_var, zip(*heads, strict=True), strict=True):
        yield from zip(ours_pair, theirs_pair, strict=True)
    if isinstance(vae.prior, VampPrior):
        yield vae.prior.unbounded.flatten(1), twin.pseudo_inputs[0].weight.T


def _linear_layers(network: nn.Module) -> list[nn.Module]:
    return [layer for layer in network.modules() if isinstance(layer, nn.Linear)]


def pictures(images: Tensor) -> datasets.MNIST:
    """torchvision's dataset of uint8 images (n, 1, height, width), with ToTensor, as from its own files."""
    data = datasets.MNIST.__new__(datasets.MNIST)
    data.data, data.targets = images[:, 0], torch.zeros(len(images), dtype=torch.long)
    data.transform, data.target_transform = transforms.ToTensor(), None
    return data


def step_flops(model: Any, batch_size: int) -> int:
    """Floating-point operations of one step's matrix products and convolutions, forwards and backwards."""
    x = torch.rand(batch_size, 784)
    with FlopCounterMode(display=False) as counter:
        model.loss(x).backward()
    model.zero_grad()
    return counter.get_total_flops()


@contextlib.contextmanager
def silence() -> Iterator[None]:
    logging.disable()
    try:
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(logging.NOTSET)
