import torch

from mnist_vae import metrics


def test_elbo_is_minus_both_terms() -> None:
    assert metrics.elbo(90.0, 15.5) == -105.5


def test_active_units_counts_means_that_move() -> None:
    generator = torch.Generator().manual_seed(0)
    standard_deviations = torch.tensor([0.0, 0.05, 0.2, 1.0])  # variances 0, 0.0025, 0.04, 1; the threshold is 0.01
    means = torch.randn(5000, 4, generator=generator) * standard_deviations + 100
    assert metrics.active_units(means) == 2
