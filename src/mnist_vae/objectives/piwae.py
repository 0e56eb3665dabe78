"""One importance-weighted bound for the generative model, a looser one for the encoder."""

import torch
from torch import Tensor

from mnist_vae.models.priors.base import check_counts
from mnist_vae.models.vae import VAE
from mnist_vae.objectives.base import Terms, frozen
from mnist_vae.objectives.importance_weights import bound, draw, reparameterize_doubly
from mnist_vae.utils.seeding import Noise


class PIWAE:
    """The IWAE of m * k samples, as which it is reported, for the generative model; the MIWAE of the same for q(z|x).

    Rainforth et al. (2018). Decoder, likelihood and prior have the gradient of a bound of m * k samples, the
    encoder that of the mean of m bounds of k, whose signal-to-noise ratio does not fall with m. What a VampPrior
    computes by the encoder is part of the prior.

    Args:
        k: importance samples of each of the encoder's bounds.
        m: number of the encoder's bounds.
        doubly_reparameterized: use the gradient estimator of Tucker et al. (2019), section 3, for the encoder.

    Raises:
        ValueError: k or m below 1.
    """

    def __init__(self, k: int, m: int, doubly_reparameterized: bool = False) -> None:
        check_counts(k=k, m=m)
        self.k, self.m, self.doubly_reparameterized = k, m, doubly_reparameterized

    def __call__(self, vae: VAE, x: Tensor, labels: Tensor | None, epoch: float, noise: Noise) -> Terms:
        """Compute the terms of images x (images, channels, height, width). Memory is proportional to images * m * k.

        For training, the codes are decoded twice: once for each part.
        """
        is_training = torch.is_grad_enabled()
        doubly = self.doubly_reparameterized and is_training
        with frozen(vae.decoder, vae.likelihood, vae.prior):
            prior = vae.prior.fixed()
            samples = draw(vae, x, labels, noise, self.m, self.k, without_score=doubly, prior=prior)
        if doubly:
            reparameterize_doubly(samples)
        log_joint = samples.log_joint
        if is_training:
            z = samples.z.detach()
            log_joint = vae.likelihood.log_prob(vae.decode_parameters(z, labels), x) + vae.prior.log_prob(z)
        of_model = -bound((log_joint - samples.log_q.detach()).flatten(0, 1).unsqueeze(0))
        of_encoder = -bound(samples.log_weight)
        return Terms(of_model + of_encoder - of_encoder.detach(), samples.reconstruction, samples.kl)
