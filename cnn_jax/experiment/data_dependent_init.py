"""What training data give to the first parameters of a network, before the first step."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.data.feeding.batches import read_ahead
from cnn_jax.data.normalize import normalize
from cnn_jax.distributed import hosts
from cnn_jax.experiment.setup import Experiment

_EXAMPLES = 5000
_AT_ONCE = 500


def weights_from_data(experiment: Experiment) -> dict[str, Any]:
    """The model's `from_data` of 5,000 images (or all, where there are fewer), the same on all hosts.

    They are spread evenly over the training split, which may be sorted by class. Nothing is read for a network that
    takes nothing from data.
    """
    examples = experiment.splits.train
    rows = np.unique(np.linspace(0, len(examples) - 1, _EXAMPLES).astype(np.int64))

    def batches() -> Iterator[jax.Array]:
        for images in read_ahead(examples, np.split(rows, range(_AT_ONCE, len(rows), _AT_ONCE))):
            yield normalize(jnp.asarray(images), experiment.normalization)

    given = experiment.model.from_data(batches())
    if not given or hosts.count() == 1:
        return given
    leaves, tree = jax.tree.flatten(given)
    # Another machine's linear algebra may round in another way, and turn the sign of an eigenvector.
    of_primary = [hosts.all_gather(f"first weights {i}", leaf.tobytes().hex())[0] for i, leaf in enumerate(leaves)]
    theirs = [
        np.frombuffer(bytes.fromhex(one), leaf.dtype).reshape(leaf.shape)
        for one, leaf in zip(of_primary, leaves, strict=True)
    ]
    return jax.tree.unflatten(tree, theirs)
