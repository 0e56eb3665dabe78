"""Likelihoods p(x|z): what the decoder's output means."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Bernoulli(nn.Module):
    """Independent pixels in {0, 1}, given by their logits. Kingma & Welling (2014), appendix C.1.

    Grey levels in (0, 1) are accepted as probabilities, as is the custom on MNIST: the term is then the
    expected log-likelihood of pixels drawn from them.
    """

    parameters_per_value = 1

    def log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        """log p(x|z) in nats per image, summed over pixels, (images,).

        Args:
            parameters: logits, (images, channels, height, width).
            x: pixels in [0, 1], of the same shape.
        """
        # From logits, never log(sigmoid(.)): finite and exact however certain the decoder is.
        return -F.binary_cross_entropy_with_logits(parameters, x, reduction="none").flatten(1).sum(dim=1)

    def mean(self, parameters: Tensor) -> Tensor:
        """E[x|z], the image to show, in [0, 1] and of the parameters' shape."""
        return torch.sigmoid(parameters)
