"""Compares Bayesian with random search on two functions whose minima are known: medians of the best value found.

  python tests/tools/bayes_against_random.py --seeds=20 --trials=30

A few minutes on one core. The exit status is 1 where Bayesian search is not the better one.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=30)
    arguments = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    from tests.support.search_functions import FUNCTIONS, best_by_bayes, best_by_random

    better = True
    print(f"{'function':<10}{'random':>10}{'bayes':>10}   best of {arguments.trials} trials, median of "
          f"{arguments.seeds} seeds (quartiles)")  # fmt: skip
    for name, (sweep, function) in FUNCTIONS.items():
        results = [
            [search(sweep, function, seed, arguments.trials) for seed in range(arguments.seeds)]
            for search in (best_by_random, best_by_bayes)
        ]
        quartiles = [np.percentile(values, [25, 50, 75]) for values in results]
        spread = "   ".join(f"{low:.4f}..{high:.4f}" for low, _, high in quartiles)
        print(f"{name:<10}" + "".join(f"{middle:>10.4f}" for _, middle, _ in quartiles) + f"   ({spread})", flush=True)
        better &= quartiles[1][1] < quartiles[0][1]
    return 0 if better else 1


if __name__ == "__main__":
    sys.exit(main())
