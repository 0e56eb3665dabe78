"""Deterministic autoencoders, plain and regularised."""

import torch
from torch import Tensor, nn

from mnist_vae.models.vae import VAE
from mnist_vae.objectives.base import Terms, check_numbers
from mnist_vae.utils.seeding import Noise


class RAE:
    """Reconstruction at the mean z of q(z|x) + beta/2 |z|² + penalties of the decoder: Ghosh et al. (2020), section 3.

    Without noise on the code, a penalty of the decoder is what keeps it smooth. With all weights 0 it is a plain
    autoencoder. The variances of q(z|x) are not trained, so it is for a posterior whose variances are constant, and
    neither are the parameters of a prior.

    Args:
        beta: weight of half the squared length of a code.
        weight_penalty: weight of the sum of squares of the decoder's weights, without biases and without those of the
            likelihood: RAE-L2.
        gradient_penalty: weight of the squared Frobenius norm of the Jacobian of the decoder's outputs, such as logits,
            with respect to the code: RAE-GP. If 0 it is not computed.

    Raises:
        ValueError: a weight is negative, infinite or NaN.
    """

    def __init__(self, beta: float = 1.0, weight_penalty: float = 0.0, gradient_penalty: float = 0.0) -> None:
        check_numbers(beta=beta, weight_penalty=weight_penalty, gradient_penalty=gradient_penalty)
        self.beta, self.weight_penalty, self.gradient_penalty = beta, weight_penalty, gradient_penalty

    def __call__(self, vae: VAE, x: Tensor, labels: Tensor | None, epoch: float, noise: Noise) -> Terms:
        """Compute the terms of images x (images, channels, height, width).

        The reconstruction and KL terms are those of the ELBO with q(z|x), and have no gradient; they take one more pass
        through the decoder.
        """
        draws = noise.normal(vae.latent_dim, device=x.device)
        posterior, mean, log_likelihood, _ = vae.infer_from(x, torch.zeros_like(draws), labels)
        loss = 0.5 * self.beta * mean.square().sum(dim=-1) - log_likelihood
        if self.weight_penalty:
            loss = loss + self.weight_penalty * squared_weights(vae.decoder)
        if self.gradient_penalty:
            loss = loss + self.gradient_penalty * squared_jacobian(vae, mean, labels, noise)
        with torch.no_grad():
            z, log_q = posterior.rsample_and_log_prob(draws)
            reconstruction = -vae.likelihood.log_prob(vae.decode_parameters(z, labels), x)
            return Terms(loss, reconstruction, vae.prior.kl(posterior, z, log_q))


def squared_weights(network: nn.Module) -> Tensor:
    """Sum of squares of a network's weights, (), without its biases and the scales of its normalisation layers."""
    return sum((w.square().sum() for w in network.parameters() if w.ndim > 1), start=torch.zeros(()))


def squared_jacobian(vae: VAE, z: Tensor, labels: Tensor | None, noise: Noise) -> Tensor:
    """Estimate the squared Frobenius norm of the Jacobian J of `decode_parameters` at codes, (images,).

    For a random direction v ~ N(0, I) of the outputs, |vᵀJ|² has the expectation tr(Jᵀ E[vvᵀ] J) = |J|².

    Args:
        z: codes, (images, latent_dim).
        noise: source of the directions.
    """
    training = torch.is_grad_enabled()
    # Lightning evaluates in inference mode, whose tensors have no derivatives.
    with torch.inference_mode(False), torch.enable_grad():
        codes = z.clone() if z.requires_grad else z.clone().requires_grad_()
        outputs = vae.decode_parameters(codes, labels)
        direction = noise.normal(*outputs.shape[1:], device=outputs.device).to(outputs)
        (product,) = torch.autograd.grad(outputs, codes, direction, create_graph=training)
    return product.square().sum(dim=-1)
