"""β-TCVAE: decomposition of the KL term into three parts with separate weights."""

import torch
from torch import Tensor

from mnist_vae.models.posteriors import LOG_2PI, DiagonalGaussian, Posterior
from mnist_vae.models.vae import VAE
from mnist_vae.objectives.base import Terms, check_numbers
from mnist_vae.utils.seeding import Noise


class BetaTCVAE:
    """Reconstruction + alpha * mutual information + beta * total correlation + gamma * dimension-wise KL.

    Chen et al. (2018), equations 2 and 4; log q(z) and log q(z_j) are estimated by minibatch-stratified sampling,
    appendix C.2. With all weights 1 the objective is the ELBO.

    Args:
        beta: weight of the total correlation KL(q(z) || Π q(z_j)).
        train_size: number of training images, N in the sampling weights.
        alpha: weight of the mutual information I(x; z) between the index of a training image and its code.
        gamma: weight of the dimension-wise KL, Σ KL(q(z_j) || p(z_j)) for a prior with independent dimensions.

    Raises:
        ValueError: a weight is negative, infinite or NaN.
    """

    requires_full_batch = True
    min_batch_size = 2

    def __init__(self, beta: float, train_size: int, alpha: float = 1.0, gamma: float = 1.0) -> None:
        check_numbers(beta=beta, alpha=alpha, gamma=gamma)
        self.alpha, self.beta, self.gamma, self.train_size = alpha, beta, gamma, train_size

    def __call__(self, vae: VAE, x: Tensor, labels: Tensor | None, epoch: float, noise: Noise) -> Terms:
        """Compute the terms of images x (images, channels, height, width).

        Memory is proportional to images² * latent_dim.
        """
        posterior, z, log_likelihood, log_q_given_x = vae.infer(x, noise, labels=labels)
        log_p = vae.prior.log_prob(z)
        log_q, log_q_product = aggregate_log_probs(posterior, z, self.train_size)
        information, correlation = log_q_given_x - log_q, log_q - log_q_product
        weighted = self.alpha * information + self.beta * correlation + self.gamma * (log_q_product - log_p)
        return Terms(weighted - log_likelihood, -log_likelihood, vae.prior.kl(posterior, z, log_q_given_x))


def aggregate_log_probs(posterior: Posterior, z: Tensor, train_size: int) -> tuple[Tensor, Tensor]:
    """Estimate log q(z) and Σ_j log q(z_j) in nats, q(z) being the aggregate posterior of the training set.

    Minibatch-stratified sampling: Chen et al. (2018), appendix C.2.

    Args:
        posterior: q(z|x) of the batch.
        z: one sample of each image's posterior, (images, latent_dim).
        train_size: number of training images.

    Returns:
        Both (images,).
    """
    log_weight = stratified_weights(len(z), train_size, z.device).log().to(z.dtype)
    mean, log_var = posterior.mean, posterior.log_var
    deviation = (z[:, None] - mean).square() * torch.exp(-log_var)
    marginals = -0.5 * (deviation + log_var + LOG_2PI)  # (codes, images, latent_dim)
    independent = isinstance(posterior, DiagonalGaussian)
    joint = marginals.sum(dim=-1) if independent else posterior.log_prob_pairwise(z)
    return (joint + log_weight).logsumexp(dim=1), (marginals + log_weight[..., None]).logsumexp(dim=1).sum(dim=-1)


def stratified_weights(images: int, train_size: int, device: torch.device | str = "cpu") -> Tensor:
    """Weights of minibatch-stratified sampling, (codes, images), images = codes; rows sum to 1.

    With N training images and M = images - 1, the weight of a code's own image is 1/N, that of one other image
    (N - M)/(N M), and that of the rest 1/M, so that the mean over batches is q(z): Chen et al. (2018), appendix C.2.
    """
    others = images - 1
    if others == 0:
        return torch.ones(1, 1, device=device)
    train_size = max(train_size, images)  # a batch in evaluation may be larger than the training set
    own = torch.eye(images, dtype=torch.bool, device=device)
    weights = torch.full((images, images), 1 / others, device=device).masked_fill(own, 1 / train_size)
    return weights.masked_fill(own.roll(1, dims=1), (train_size - others) / (train_size * others))
