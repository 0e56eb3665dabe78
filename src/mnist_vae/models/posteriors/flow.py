"""Posteriors of which a normalising flow, conditioned on the image, transforms a diagonal Gaussian."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from mnist_vae.models.flows import AffineAutoregressive, AffineCoupling, AffineFlow, alternating_mask
from mnist_vae.models.networks.base import check_sizes
from mnist_vae.models.posteriors.base import sampled_log_var
from mnist_vae.models.posteriors.gaussian import DiagonalGaussian, clamp_log_var

MAX_PAIRS = 100_000  # of codes and images at once: 50 MB for each hidden layer of 128 units


class FlowPosterior(NamedTuple):
    """q(z|x), the distribution of z = f(z_0; x) with z_0 ~ N(base_mean, diag(exp(base_log_var))).

    log q(z|x) = log N(z_0) - log|det df/dz_0|: Rezende & Mohamed (2015), equation 5; Kingma et al. (2016), section 3.

    Attributes:
        base_mean, base_log_var: (images, latent_dim).
        context: input of the flow, (images, context_dim).
        flow: f. It computes in the precision and on the device of its weights.
    """

    base_mean: Tensor
    base_log_var: Tensor
    context: Tensor
    flow: AffineFlow

    @property
    def base(self) -> DiagonalGaussian:
        """Distribution of z_0."""
        return DiagonalGaussian(self.base_mean, self.base_log_var)

    @property
    def mean(self) -> Tensor:
        """f at the base's mean, (images, latent_dim), in place of the mean of q(z|x), which has no closed form."""
        return self._transform(self.base_mean)[0]

    @property
    def log_var(self) -> Tensor:
        """Logarithms of the marginal variances, (images, latent_dim), estimated; see base.sampled_log_var."""
        return sampled_log_var(self)

    def rsample(self, noise: Tensor | None = None) -> Tensor:
        """Sample z by transforming reparameterised samples of the base, in the shape of `noise`.

        Args:
            noise: standard normal draws, (..., images, latent_dim); if None, one per image from torch's global
                generator.
        """
        return self._transform(self.base.rsample(noise))[0]

    def rsample_and_log_prob(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Sample z, see rsample, and compute log q(z|x) in nats, (..., images), without inverting the flow."""
        base, log_base = self.base.rsample_and_log_prob(noise)
        z, log_det = self._transform(base)
        return z, log_base - log_det

    def log_prob(self, z: Tensor) -> Tensor:
        """log q(z|x) in nats, (..., images), of codes (..., images, latent_dim), by the inverse of the flow.

        For an autoregressive flow that takes latent_dim passes through each layer.
        """
        base, log_det = self._transform(z, inverse=True)
        return self.base.log_prob(base) - log_det

    def log_prob_pairwise(self, z: Tensor) -> Tensor:
        """log q(z|x) in nats of every code (codes, latent_dim) under every image's posterior, (codes, images)."""
        rows = max(1, MAX_PAIRS // len(self.base_mean))
        return torch.cat([self.log_prob(part[:, None].expand(-1, *self.base_mean.shape)) for part in z.split(rows)])

    def _transform(self, z: Tensor, inverse: bool = False) -> tuple[Tensor, Tensor]:
        """f of codes, or its inverse, and log|det df/dz_0|, in the codes' precision."""
        weights = next(self.flow.parameters())
        transform = self.flow.inverse if inverse else self.flow
        # In half precision the rounding error of a shift could exceed the width of a narrow posterior.
        with torch.autocast(weights.device.type, enabled=False):
            result, log_det = transform(z.to(weights), self.context.to(weights))
        return result.to(z), log_det.to(z)


class _FlowLayer(nn.Linear):
    """Linear layer to the base and the context of a FlowPosterior.

    Args:
        features: width of the encoder's output.
        latent_dim: number of latent dimensions.
        context_dim: width of the context.
        flow: the flow.
    """

    family = FlowPosterior
    density_in_one_pass: bool

    def __init__(self, features: int, latent_dim: int, context_dim: int, flow: AffineFlow) -> None:
        super().__init__(features, 2 * latent_dim + context_dim)
        self.sizes = [latent_dim, latent_dim, context_dim]
        self.flow = flow

    @property
    def heads(self) -> list[nn.Linear]:
        """The layers of the parameters of q(z|x): this one, not those of the flow."""
        return [self]

    def posterior(self, features: Tensor, dtype: torch.dtype) -> FlowPosterior:
        """Compute q(z|x) in `dtype` from features (images, features)."""
        mean, raw, context = self(features).to(dtype).split(self.sizes, dim=-1)
        return FlowPosterior(mean, clamp_log_var(raw), context, self.flow)


class InverseAutoregressive(_FlowLayer):
    """Inverse autoregressive flow: Kingma et al. (2016), algorithm 1, with affine layers that begin as the identity.

    Sampling takes one pass, but the density of a code that was not sampled from the image's own posterior latent_dim.

    Args:
        features: width of the encoder's output.
        latent_dim: number of latent dimensions.
        layers: number of autoregressive layers, each in the opposite order of the one before.
        hidden_dim: width of the context and of the hidden layers of each layer's network.

    Raises:
        ValueError: a size is below 1.
    """

    density_in_one_pass = False

    def __init__(self, features: int, latent_dim: int, layers: int = 2, hidden_dim: int = 128) -> None:
        check_sizes(layers=layers, hidden_dim=hidden_dim)
        made = (AffineAutoregressive(latent_dim, hidden_dim, hidden_dim, reverse=i % 2 == 1) for i in range(layers))
        super().__init__(features, latent_dim, hidden_dim, AffineFlow(made))


class Coupling(_FlowLayer):
    """Conditional coupling layers: Dinh et al. (2017), equation 9, with a context, as in Winkler et al. (2019).

    Samples and densities of any code take one pass.

    Args:
        features: width of the encoder's output.
        latent_dim: number of latent dimensions, at least 2.
        layers: number of coupling layers. Each transforms half of the dimensions, so two or more transform all.
        hidden_dim: width of the context and of the hidden layers of each layer's network.

    Raises:
        ValueError: a size is below 1, or latent_dim is 1.
    """

    density_in_one_pass = True

    def __init__(self, features: int, latent_dim: int, layers: int = 4, hidden_dim: int = 128) -> None:
        check_sizes(layers=layers, hidden_dim=hidden_dim)
        if latent_dim < 2:
            raise ValueError(f"latent_dim is {latent_dim}; a coupling flow needs 2 or more")
        couplings = (AffineCoupling(alternating_mask(i, latent_dim), hidden_dim, hidden_dim) for i in range(layers))
        super().__init__(features, latent_dim, hidden_dim, AffineFlow(couplings))
