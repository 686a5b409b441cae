"""Records norms and projections of gradients in float64, one model of each family; see tests/models/test_gradients.py.

python tests/tools/make_gradient_fixtures.py
"""

import sys
from pathlib import Path

import jax
import numpy as np

ROOT = Path(__file__).parents[2]


def main() -> None:
    sys.path.insert(0, str(ROOT))
    from tests.models.test_gradients import ALL, WITHOUT_YNN, gradient, summary

    with jax.enable_x64(True):
        found = {name: summary(gradient(name, "float64", WITHOUT_YNN)) for name in ALL}
    np.savez(ROOT / "tests/fixtures/gradients.npz", **found)


if __name__ == "__main__":
    main()
