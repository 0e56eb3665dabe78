"""What a default run is timed against as a whole command: the notebook, as a script of one's own.

    python scripts/benchmarks/plain.py [root=data] [epochs=10] [folder=.]

Torchvision's MNIST through ToTensor and a DataLoader, Adam, the loss at each step. As in a default run, 5,000 of the
training images are held out; after every epoch there are the loss on them and a picture of reconstructions and samples;
at the end the loss on the test images, and a figure of originals, reconstructions and samples.
Plain torch and matplotlib, as one would write it without this project.
"""

import os
import sys
from pathlib import Path

import matplotlib
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, random_split
from torchvision import datasets, transforms

matplotlib.use("Agg")
import matplotlib.pyplot as plt


class VAE(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc21, self.fc22 = nn.Linear(784, 400), nn.Linear(400, 20), nn.Linear(400, 20)
        self.fc3, self.fc4 = nn.Linear(20, 400), nn.Linear(400, 784)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = F.relu(self.fc1(x))
        return self.fc21(h), self.fc22(h)

    def decode(self, z: Tensor) -> Tensor:
        return torch.sigmoid(self.fc4(F.relu(self.fc3(z))))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, log_var = self.encode(x)
        z = mean + torch.randn_like(mean) * torch.exp(0.5 * log_var)
        return self.decode(z), mean, log_var


def loss_function(reconstruction: Tensor, x: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
    cross_entropy = F.binary_cross_entropy(reconstruction, x, reduction="sum")
    return cross_entropy - 0.5 * torch.sum(1 + log_var - mean.pow(2) - log_var.exp())


def train_epoch(model: VAE, loader: DataLoader, optimizer: torch.optim.Optimizer) -> float:
    model.train()
    total = 0.0
    for images, _ in loader:
        x = images.view(-1, 784)
        optimizer.zero_grad()
        reconstruction, mean, log_var = model(x)
        loss = loss_function(reconstruction, x, mean, log_var)
        loss.backward()
        total += loss.item()
        optimizer.step()
    return total / len(loader.dataset)  # type: ignore[arg-type]


@torch.no_grad()
def test(model: VAE, loader: DataLoader) -> float:
    model.eval()
    total = 0.0
    for images, _ in loader:
        x = images.view(-1, 784)
        reconstruction, mean, log_var = model(x)
        total += loss_function(reconstruction, x, mean, log_var).item()
    return total / len(loader.dataset)  # type: ignore[arg-type]


@torch.no_grad()
def draw(model: VAE, images: Tensor, samples: int, path: Path) -> None:
    """Originals, reconstructions and samples, a picture each in rows of ten."""
    x = images.view(-1, 784)
    rows = torch.cat([x, model.decode(model.encode(x)[0]), model.decode(torch.randn(samples, 20))]).view(-1, 28, 28)
    figure, axes = plt.subplots(len(rows) // 10, 10, figsize=(10, len(rows) // 10))
    for axis, image in zip(axes.flat, rows, strict=True):
        axis.imshow(image, cmap="gray")
        axis.axis("off")
    figure.savefig(path)
    plt.close(figure)


def main() -> None:
    options = dict(argument.split("=", 1) for argument in sys.argv[1:])
    root = options.get("root") or os.environ.get("MNIST_VAE_DATA") or "data"
    folder = Path(options.get("folder", "."))
    all_train = datasets.MNIST(root, train=True, download=True, transform=transforms.ToTensor())
    train_data, val_data = random_split(all_train, [55_000, 5_000])
    test_data = datasets.MNIST(root, train=False, download=True, transform=transforms.ToTensor())
    train_loader = DataLoader(train_data, batch_size=128, shuffle=True)
    val_loader, test_loader = DataLoader(val_data, batch_size=128), DataLoader(test_data, batch_size=128)
    model = VAE()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    some = torch.stack([test_data[i][0] for i in range(10)])
    for epoch in range(1, int(options.get("epochs", 10)) + 1):
        train_loss = train_epoch(model, train_loader, optimizer)
        print(f"epoch {epoch}: training loss {train_loss:.2f}, held out {test(model, val_loader):.2f}", flush=True)
        draw(model, some, 20, folder / f"epoch_{epoch}.png")
    print(f"test loss {test(model, test_loader):.2f}")
    draw(model, some, 50, folder / "results.png")


if __name__ == "__main__":
    main()
