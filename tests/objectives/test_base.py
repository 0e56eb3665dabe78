import math

import pytest

from mnist_vae.objectives.base import check_numbers


@pytest.mark.parametrize("value", [0.0, 1e-30, 3, 1e300])
def test_non_negative_finite_numbers_pass(value: float) -> None:
    check_numbers(beta=value, gamma=0)


@pytest.mark.parametrize("value", [-1e-30, -1.0, math.inf, -math.inf, math.nan])
def test_the_error_names_the_argument_and_its_value(value: float) -> None:
    with pytest.raises(ValueError, match=f"^gamma is {value}; it must be 0 or more, and finite$"):
        check_numbers(beta=1.0, gamma=value)
