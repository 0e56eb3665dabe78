"""β-TCVAE: the KL term in three parts, of which the total correlation has a weight of its own."""

import torch
from torch import Tensor

from mnist_vae.models.posteriors import LOG_2PI, DiagonalGaussian, Posterior
from mnist_vae.models.vae import VAE
from mnist_vae.objectives.base import Terms, check_numbers
from mnist_vae.utils.seeding import Noise


class BetaTCVAE:
    """Reconstruction + alpha * mutual information + beta * total correlation + gamma * dimension-wise KL.

    Chen et al. (2018), equations 2 and 4; log q(z) and log q(z_j) by minibatch-stratified sampling, their appendix C.2.

    Args:
        alpha: weight of I(x; z), x being known by its index in the training set.
        beta: weight of the total correlation KL(q(z) || Π q(z_j)); with all weights 1 it is the ELBO.
        gamma: weight of the dimension-wise KL, Σ KL(q(z_j) || p(z_j)) for a prior of independent dimensions.
        train_size: training images, the N of the sampling weights.

    Raises:
        ValueError: a weight is negative, infinite or NaN.
    """

    requires_full_batch = True
    smallest_batch = 2

    def __init__(self, beta: float, train_size: int, alpha: float = 1.0, gamma: float = 1.0) -> None:
        check_numbers(beta=beta, alpha=alpha, gamma=gamma)
        self.alpha, self.beta, self.gamma, self.train_size = alpha, beta, gamma, train_size

    def __call__(self, vae: VAE, x: Tensor, labels: Tensor | None, epoch: float, noise: Noise) -> Terms:
        """The terms for images x (n, channels, height, width). Memory grows with n * n * latent_dim."""
        posterior, z, log_likelihood = vae.infer(x, noise, labels=labels)
        log_q_given_x, log_p = posterior.log_prob(z), vae.prior.log_prob(z)
        log_q, log_q_product = aggregate(posterior, z, self.train_size)
        information, correlation = log_q_given_x - log_q, log_q - log_q_product
        weighted = self.alpha * information + self.beta * correlation + self.gamma * (log_q_product - log_p)
        return Terms(weighted - log_likelihood, -log_likelihood, vae.prior.kl(posterior, z))


def aggregate(posterior: Posterior, z: Tensor, train_size: int) -> tuple[Tensor, Tensor]:
    """log q(z) and Σ_j log q(z_j) in nats of each image's code under the aggregate posterior of all training images.

    Chen et al. (2018), appendix C.2: each image of the batch stands for those of the training set that are not in it.

    Args:
        posterior: q(z|x) of the batch.
        z: one draw from each, (images, latent_dim).
    """
    log_weight = stratified_weights(len(z), train_size, z.device).log().to(z.dtype)
    mean, log_var = posterior.mean, posterior.log_var
    deviation = (z[:, None] - mean).square() * torch.exp(-log_var)
    marginals = -0.5 * (deviation + log_var + LOG_2PI)  # (codes, images, latent_dim)
    independent = isinstance(posterior, DiagonalGaussian)
    joint = marginals.sum(dim=-1) if independent else posterior.log_prob_pairwise(z)
    return (joint + log_weight).logsumexp(dim=1), (marginals + log_weight[..., None]).logsumexp(dim=1).sum(dim=-1)


def stratified_weights(images: int, train_size: int, device: torch.device | str = "cpu") -> Tensor:
    """The weight of each image's Gaussian in q(z) of each image's code, (images, images); rows sum to 1.

    A code's own image counts once, 1/N. One other has (N - M)/(N M), the rest 1/M, where M = images - 1: Chen et al.
    (2018), appendix C.2. So the mean over batches is q(z).
    """
    others = images - 1
    if others == 0:
        return torch.ones(1, 1, device=device)
    train_size = max(train_size, images)  # of an evaluation that has more images than there were to train on
    own = torch.eye(images, dtype=torch.bool, device=device)
    weights = torch.full((images, images), 1 / others, device=device).masked_fill(own, 1 / train_size)
    return weights.masked_fill(own.roll(1, dims=1), (train_size - others) / (train_size * others))
