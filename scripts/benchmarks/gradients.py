"""Signal-to-noise ratios of gradients under bounds of the same number of samples: Rainforth et al. (2018), section 3.

    PYTHONPATH=scripts python scripts/benchmarks/gradients.py outputs/iwae

For each bound, the mean over the weights of |mean| / standard deviation of the gradient, over draws of the samples for
one batch of test images; of the encoder and of the decoder.
"""

import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from mnist_vae.models.vae import VAE
from mnist_vae.objectives import CIWAE, IWAE, PIWAE
from mnist_vae.runs.load import open_run
from mnist_vae.utils.pixels import to_unit
from mnist_vae.utils.seeding import Noise

IMAGES, DRAWS = 32, 100
OBJECTIVES: dict[str, Callable[..., Any]] = {
    "16 ELBOs": IWAE(k=1, m=16),
    "MIWAE, k=4, m=4": IWAE(k=4, m=4),
    "PIWAE, k=4, m=4": PIWAE(k=4, m=4),
    "CIWAE, k=16, 0.5": CIWAE(k=16, elbo_weight=0.5),
    "IWAE, k=16": IWAE(k=16),
    "IWAE, k=16, doubly reparameterised": IWAE(k=16, doubly_reparameterized=True),
}


def ratios(vae: VAE, x: Tensor, objective: Callable[..., Any]) -> list[float]:
    """Ratios of the encoder's and of the decoder's gradient."""
    parts = [list(module.parameters()) for module in (vae.encoder, vae.decoder)]
    generator = torch.Generator().manual_seed(0)
    sums: list[list[Tensor]] = [[torch.zeros_like(p), torch.zeros_like(p)] for part in parts for p in part]
    for _ in range(DRAWS):
        loss = objective(vae, x, None, 0.0, Noise(len(x), generator=generator)).loss.mean()
        found = torch.autograd.grad(loss, [p for part in parts for p in part])
        for (first, second), gradient in zip(sums, found, strict=True):
            first += gradient / DRAWS
            second += gradient.square() / DRAWS
    of_weights = [(mean.abs() / (square - mean.square()).sqrt()).flatten() for mean, square in sums]
    cut = len(parts[0])
    # Weights whose gradient is always 0, such as those of pixels that are black in all images, have no ratio.
    return [float(torch.cat(some).nanmean()) for some in (of_weights[:cut], of_weights[cut:])]


def main(folder: str) -> None:
    run = open_run(folder)
    vae = run.vae.requires_grad_(True)
    x = (to_unit(run.images("test")[0][:IMAGES]) > 0.5).float()
    for name, objective in OBJECTIVES.items():
        encoder, decoder = ratios(vae, x, objective)
        print(f"{name:36} encoder {encoder:.2f}   decoder {decoder:.2f}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
