"""Reference implementation of the original notebook in plain torch: model, loss and training loop.

    python scripts/notebook.py [seeds=0,1,2] [epochs=10] [root=data]

Prints the mean training loss of each epoch on the 60,000 images of MNIST, in nats per image. The loss and speed of
`python train.py experiment=notebook` are compared with it.
"""

import os
import sys
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mnist_vae.cli import entry
from mnist_vae.data.mnist import TorchvisionSource


class Notebook(nn.Module):
    """Fully connected VAE of 784-400-20-400-784 units."""

    def __init__(self, hidden_dim: int = 400, latent_dim: int = 20) -> None:
        super().__init__()
        self.fc1 = nn.Linear(784, hidden_dim)
        self.fc21, self.fc22 = nn.Linear(hidden_dim, latent_dim), nn.Linear(hidden_dim, latent_dim)
        self.fc3, self.fc4 = nn.Linear(latent_dim, hidden_dim), nn.Linear(hidden_dim, 784)

    def loss(self, x: Tensor) -> Tensor:
        """Negative ELBO in nats, summed over images x (n, 784) in [0, 1]."""
        h = F.relu(self.fc1(x))
        mean, log_var = self.fc21(h), self.fc22(h)
        z = mean + torch.randn_like(mean) * torch.exp(0.5 * log_var)
        logits = self.fc4(F.relu(self.fc3(z)))  # the notebook's sigmoid is part of the loss function here
        reconstruction = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
        return reconstruction - 0.5 * torch.sum(1 + log_var - mean.pow(2) - log_var.exp())


def train_epoch(model: Notebook, optimizer: torch.optim.Optimizer, images: Tensor, batch_size: int = 128) -> float:
    """Train for one epoch on uint8 images (n, 784); return the mean loss per image."""
    return float(torch.stack(list(steps(model, optimizer, images, batch_size))).sum()) / len(images)


def steps(model: Any, optimizer: torch.optim.Optimizer, images: Tensor, batch_size: int = 128) -> Iterator[Tensor]:
    """Train for one epoch on uint8 images (n, 784); yield the sum of the loss over each batch."""
    for indices in torch.randperm(len(images)).split(batch_size):
        x = images.index_select(0, indices).float().div_(255)
        optimizer.zero_grad()
        loss = model.loss(x)
        loss.backward()
        optimizer.step()
        yield loss.detach()


def curve(images: Tensor, seed: int, epochs: int) -> list[float]:
    """Train a new model with Adam at 1e-3; return the mean loss of each epoch."""
    torch.manual_seed(seed)
    model = Notebook()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    return [train_epoch(model, optimizer, images) for _ in range(epochs)]


def main() -> None:
    options = dict(argument.split("=", 1) for argument in sys.argv[1:])
    root = options.get("root") or os.environ.get("MNIST_VAE_DATA") or "data"
    images = TorchvisionSource("MNIST", root).load().train_images.flatten(1)
    curves = []
    for seed in options.get("seeds", "0,1,2").split(","):
        curves.append(curve(images, int(seed), int(options.get("epochs", 10))))
        print(f"seed {seed}:", " ".join(f"{loss:.1f}" for loss in curves[-1]), flush=True)
    means = torch.tensor(curves)
    print("mean:  ", " ".join(f"{loss:.1f}" for loss in means.mean(0)))
    if len(curves) > 1:
        print("std:   ", " ".join(f"{loss:.1f}" for loss in means.std(0)))


if __name__ == "__main__":
    entry.run(main)
