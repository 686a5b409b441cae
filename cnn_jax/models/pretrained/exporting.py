"""Variables of a network here as a library's state dict, and as a file that PyTorch reads with strict=True."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from flax import traverse_util

from cnn_jax.models.pretrained.importing import name_map
from cnn_jax.models.pretrained.naming import arrays_of


def to_state_dict(name: str, variables: Mapping[str, Any], library: str = "torchvision") -> dict[str, np.ndarray]:
    """The library's names and shapes, in its order; `importing.from_state_dict` of it gives the same bits.

    Each BatchNorm gets the `num_batches_tracked` that PyTorch expects: 0.

    Raises:
      InputError: the names of the library are not known for this network.
    """
    leaves = traverse_util.flatten_dict(dict(variables))
    made: dict[str, np.ndarray] = {}
    for path, array in arrays_of(name_map(name, library, variables), variables).items():
        made[array.key] = np.ascontiguousarray(array.rule.to_torch(np.asarray(leaves[path])))
        if path[-1] == "var":
            made[array.key.removesuffix("running_var") + "num_batches_tracked"] = np.zeros((), np.int64)
    return made
