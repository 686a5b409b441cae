"""Records what scikit-image makes of a random image; see tests/analysis/test_filters.py.

python tests/tools/record_skimage_filters.py      # with scikit-image 0.26 installed
"""

from pathlib import Path

import numpy as np
from skimage import filters

ROOT = Path(__file__).parents[2]
# The course's names and SciPy's, which are scikit-image's.
MODES = {"zero": "constant", "extend": "nearest", "reflect": "mirror", "wrap": "wrap"}
GABORS = {"gabor0": (0.25, 0.0, 0.0), "gabor_odd": (0.3, 0.7, np.pi / 2)}


def main() -> None:
    image = np.random.RandomState(0).randint(0, 256, (13, 12)) / 256
    found = {"image": image}
    for mode, theirs in MODES.items():
        for name in ("sobel", "scharr", "prewitt", "farid"):
            function = getattr(filters, name)
            found[f"{name}/{mode}"] = function(image, mode=theirs)
            for axis in (0, 1):
                found[f"{name}{axis}/{mode}"] = function(image, axis=axis, mode=theirs)
        found[f"gaussian/{mode}"] = filters.gaussian(image, 1.0, mode=theirs)
        for name, (frequency, theta, offset) in GABORS.items():
            options = {"sigma_x": 1.3, "sigma_y": 1.3, "offset": offset, "mode": theirs}
            found[f"{name}/{mode}"] = filters.gabor(image, frequency, theta, **options)[0]
    found["gabor_kernel"] = filters.gabor_kernel(0.2, 0.4).real
    # These two know no other border than one that repeats the last pixel: inside it does not matter.
    found["laplace/inside"] = filters.laplace(image)[1:-1, 1:-1]
    found["sharpen/inside"] = filters.unsharp_mask(image, 1.0, 0.7, preserve_range=True)[4:-4, 4:-4]
    half = {name: value.astype(np.float32) for name, value in found.items()}
    np.savez_compressed(ROOT / "tests/fixtures/skimage_filters.npz", **half)


if __name__ == "__main__":
    main()
