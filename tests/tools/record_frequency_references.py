"""Records what the authors' own code makes of small arrays; see tests/analysis/test_heat_map.py, test_band_pass.py.

python tests/tools/record_frequency_references.py freq_heatmap.py frequencyHelper.py

The files are frequency_analysis/freq_heatmap.py of google-research/google-research (0c1bbe5) and
utility/frequencyHelper.py of HaohanWang/HFC (ba9c909). Only their NumPy functions are used.
"""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
SIZES = ((8, 8), (6, 7), (5, 4))
RADII = (1, 2, 3, 5)


def functions(path: str) -> SimpleNamespace:
    """What a file defines, without the packages that its other parts need, and without its main program."""
    lines = Path(path).read_text().split("\nif __name__")[0].splitlines()
    unused = ("import tensorflow", "from six")
    defined: dict[str, Any] = {}
    exec("\n".join(line for line in lines if not line.startswith(unused)), defined)
    return SimpleNamespace(**defined)


class Network:
    """Two layers; its figure is the share of errors."""

    def __init__(self, first: np.ndarray, second: np.ndarray):
        self._first, self._second = first, second

    def get_num_of_tensors(self) -> int:
        return 2

    def __call__(self, images: np.ndarray, labels: np.ndarray) -> tuple[list[np.ndarray], float]:
        hidden = np.maximum(images.reshape(len(images), -1) @ self._first, 0)
        logits = hidden @ self._second
        return [hidden, logits], float((logits.argmax(1) != labels).mean())


def main(heat_map: str, helper: str) -> None:
    theirs, bands, random = functions(heat_map), functions(helper), np.random.RandomState(0)
    found = {f"basis/{height}x{width}": theirs._get_fourier_basis(height, width) for height, width in SIZES}
    images = random.uniform(size=(20, 6, 7, 2)).astype(np.float32)
    first, second = random.standard_normal((84, 16)) / 8, random.standard_normal((16, 3)) / 4
    labels = Network(first, second)(images, np.zeros(20))[0][1].argmax(1)
    changes, errors, _ = theirs.generate_freq_heatmap(
        Network(first, second), images, labels, perturb_norm=0.8, relative_scale=False
    )
    found |= {"images": images, "first": first, "second": second, "labels": labels, "errors": errors}
    found |= {"hidden": changes[0], "logits": changes[1]}
    photographs = random.uniform(size=(2, 8, 8, 3))
    found["photographs"] = photographs
    for radius in RADII:
        low, high = bands.generateDataWithDifferentFrequencies_3Channel(photographs, radius)
        found |= {f"low/{radius}": low, f"high/{radius}": high}
    singles = {name: value.astype(np.float32) for name, value in found.items()}
    np.savez_compressed(ROOT / "tests/fixtures/frequency_references.npz", **singles)


if __name__ == "__main__":
    main(*sys.argv[1:])
