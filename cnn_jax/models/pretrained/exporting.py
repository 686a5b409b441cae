"""Variables of a network here as a library's state dict, and as a file that PyTorch reads with strict=True."""

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from flax import traverse_util
from safetensors.numpy import save_file

from cnn_jax.models.classifier import Classifier
from cnn_jax.models.pretrained.importing import name_map
from cnn_jax.models.pretrained.naming import Array, arrays_of, joined


def to_state_dict(name: str, variables: Mapping[str, Any], library: str) -> dict[str, np.ndarray]:
    """Arrays under the library's names and in its shapes; `importing.from_state_dict` of it gives the same bits.

    Each BatchNorm gets the `num_batches_tracked` that PyTorch expects: 0.

    Args:
      name: the network's, as in `model.name`.
      variables: {"params", "batch_stats"} of arrays.

    Raises:
      InputError: the names of the library are not known for this network.
    """
    leaves = traverse_util.flatten_dict(dict(variables))
    pieces: dict[str, list[tuple[Array, np.ndarray]]] = {}
    counters: dict[str, np.ndarray] = {}
    for path, array in arrays_of(name_map(name, library, variables), variables).items():
        pieces.setdefault(array.key, []).append((array, array.rule.to_torch(np.asarray(leaves[path]))))
        if path[-1] == "var":
            counters[array.key.removesuffix("running_var") + "num_batches_tracked"] = np.zeros((), np.int64)
    return {key: np.ascontiguousarray(joined(parts)) for key, parts in pieces.items()} | counters


def export_safetensors(
    path: str | os.PathLike[str],
    name: str,
    model: Classifier,
    variables: Mapping[str, Any],
    library: str,
    preprocessing: Mapping[str, Any] | None = None,
) -> None:
    """Writes `to_state_dict` as a safetensors file, whole or not at all.

    Its metadata say what the arrays do not: the network, whose names they have, the model's `conventions` (epsilon and
    padding), and, as JSON, what is done to images before (`preprocessing`).

    Raises:
      InputError: the names of the library are not known for this network.
    """
    metadata = {"format": "pt", "network": name, "library": library}
    metadata |= {key: str(value) for key, value in model.conventions.items()}
    metadata["preprocessing"] = json.dumps(dict(preprocessing or {}))
    state_dict = to_state_dict(name, variables, library)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        save_file(state_dict, temporary, metadata)
        os.chmod(temporary, 0o644)  # a temporary file is private
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
