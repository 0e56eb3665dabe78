from pathlib import Path

import pytest

from tests.synthetic import make_sweep


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    return make_sweep(tmp_path / "sweep")
