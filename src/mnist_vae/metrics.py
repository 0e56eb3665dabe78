"""What is reported about a trained VAE, the same for every objective."""

from torch import Tensor


def elbo(reconstruction: float, kl: float) -> float:
    """The evidence lower bound in nats per image (beta = 1), from the means of its two terms."""
    return -(reconstruction + kl)


def active_units(means: Tensor, threshold: float = 0.01) -> int:
    """Latent dimensions whose posterior mean moves with the image: variance over images above `threshold`.

    Burda et al. (2016), section 5.2 and appendix C.

    Args:
        means: posterior means, (images, latent_dim).
    """
    return int((means.double().var(dim=0) > threshold).sum())
