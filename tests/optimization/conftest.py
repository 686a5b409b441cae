"""What PyTorch's schedulers do: recorded, and live where torch is installed."""

import numpy as np
import pytest

from tests.support.helpers import ROOT
from tests.support.schedules import Curves, read_curves, run_with_torch


@pytest.fixture(scope="session")
def recorded() -> Curves:
    """See tests/tools/make_schedule_fixtures.py."""
    return read_curves(ROOT / "tests/fixtures/torch_schedules.npz")


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Curves:
    """Curves of arguments that are drawn anew."""
    path = tmp_path_factory.mktemp("torch") / "curves.npz"
    run_with_torch("make_schedule_fixtures.py", path, "1")
    return read_curves(path)


@pytest.fixture(scope="session")
def recorded_cycling() -> dict[str, np.ndarray]:
    """What PyTorch computed; see tests/tools/make_torch_cycling.py."""
    with np.load(ROOT / "tests/fixtures/torch_cycling.npz", allow_pickle=False) as stored:
        return dict(stored)
