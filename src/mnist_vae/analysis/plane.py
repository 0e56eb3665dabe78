"""Planes through latent space: projections of codes, codes at a point of the plane, and densities on it."""

from typing import NamedTuple

import torch
from torch import Tensor


class Axis(NamedTuple):
    """A coordinate of codes z: direction · z - offset.

    Attributes:
        direction: (latent_dim,).
        offset: a scalar.
    """

    direction: Tensor
    offset: Tensor


def dimension(index: int, latent_dim: int) -> Axis:
    """The coordinate of a latent dimension, counted from 0."""
    return Axis(torch.eye(latent_dim)[index], torch.zeros(()))


def principal_components(codes: Tensor, count: int) -> list[Axis]:
    """The first principal components of codes (n, latent_dim).

    The sign of a component is arbitrary; its largest loading is made positive, for reproducibility.
    """
    _, directions = torch.linalg.eigh(torch.cov(codes.T.double()))
    axes = []
    for direction in directions.flip(1).T[:count].to(codes.dtype):
        signed = direction * direction[direction.abs().argmax()].sign()
        axes.append(Axis(signed, codes.mean(dim=0) @ signed))
    return axes


class Plane(NamedTuple):
    """Two coordinates of codes, which need not be orthogonal.

    Attributes:
        directions: (latent_dim, 2).
        offset: (2,).
    """

    directions: Tensor
    offset: Tensor

    @classmethod
    def of(cls, across: Axis, up: Axis) -> "Plane":
        """The plane of two axes."""
        return cls(torch.stack([across.direction, up.direction], dim=1), torch.stack([across.offset, up.offset]))

    def project(self, z: Tensor) -> Tensor:
        """Positions (..., 2) of codes (..., latent_dim)."""
        return z @ self.directions - self.offset

    def moved(self, z: Tensor, position: Tensor) -> Tensor:
        """The code nearest to `z`, both (latent_dim,), that is projected to `position` (2,).

        If both axes are the same, it is projected to the nearest position that there is.
        """
        return z + torch.linalg.pinv(self.directions.T) @ (position - self.project(z))


def density(points: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Kernel density estimate on a grid, with a Gaussian kernel and Scott's rule for its width: Scott (1992), 6.42.

    Args:
        points: (n, 2).
        x, y: coordinates of the grid's columns and rows, (columns,) and (rows,).

    Returns:
        (rows, columns), a density per unit of area.
    """
    width = (points.std(dim=0) * len(points) ** (-1 / 6)).clamp(min=1e-6)
    across, up = (_kernel(grid, points[:, axis], width[axis]) for axis, grid in enumerate((x, y)))
    return up @ across.T / len(points)


def _kernel(grid: Tensor, centres: Tensor, width: Tensor) -> Tensor:
    """Densities at the grid's coordinates (g,) of Gaussians around the centres (n,): (g, n)."""
    return torch.distributions.Normal(centres, width).log_prob(grid[:, None]).exp()
