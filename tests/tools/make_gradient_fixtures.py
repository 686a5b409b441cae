"""Records norms and projections of every model's gradient in float64; see tests/models/test_gradients.py.

python tests/tools/make_gradient_fixtures.py
"""

import sys
from pathlib import Path

import jax
import numpy as np

ROOT = Path(__file__).parents[2]


def main() -> None:
    sys.path.insert(0, str(ROOT))
    from cnn_jax.config.model_keys import MODELS
    from tests.models.test_gradients import WITHOUT_YNN, gradient, summary

    with jax.enable_x64(True):
        found = {name: summary(gradient(name, "float64", WITHOUT_YNN)) for name in sorted(MODELS)}
    np.savez(ROOT / "tests/fixtures/gradients.npz", **found)


if __name__ == "__main__":
    main()
