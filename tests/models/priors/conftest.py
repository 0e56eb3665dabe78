"""Fixtures of the tests of priors."""

import pytest
import torch


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Seed torch's global generator, from which parameters and codes are drawn."""
    torch.manual_seed(0)
