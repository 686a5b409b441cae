"""What the network's input looks like where the config leaves it to the data."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cnn_jax.data.reading.image_dataset import Files
from cnn_jax.data.reading.images import Looks, look, quiet
from cnn_jax.errors import InputError

_LOOKED_AT = 64


def settle_shape(data: Any, files: Sequence[Files], what: str) -> tuple[tuple[int, int, int], tuple[str, ...]]:
    """(height, width, channels), and which of image_size and channels were read off some of the pictures.

    The scan checks what is read off here against all the others.

    Args:
      data: the config's `data` block; its image_size and channels go before.
      files: of each split.
      what: names the data in errors.

    Raises:
      InputError: `data.image_size` is None, and the pictures differ in size; or none of those looked at can be read.
    """
    if data.image_size is not None and data.channels is not None:
        return (*data.image_size, data.channels), ()
    with quiet():
        tried = [seen for part in files for seen in _some_looks(part)]
    looks = [seen for seen in tried if isinstance(seen, Looks)]
    if not looks:
        raise InputError(
            f"{what}: none of the {len(tried)} files that were looked at can be read; the first, {tried[0]}"
        )
    channels = data.channels or max(seen.channels for seen in looks)
    if data.image_size is not None:
        return (*data.image_size, channels), () if data.channels else ("channels",)
    sizes = {(seen.height, seen.width) for seen in looks}
    if len(sizes) > 1:
        (h0, w0), (h1, w1) = sorted(sizes)[0], sorted(sizes)[-1]
        raise InputError(
            f"config.data.image_size=None: {what} differ in size ({h0}x{w0} to {h1}x{w1}); set it, as in 224"
        )
    return (*sizes.pop(), channels), ("image_size",) if data.channels else ("image_size", "channels")


def _some_looks(files: Files) -> list[Looks | InputError]:
    """Of pictures spread over the whole list; those that cannot be read are left to the scan."""
    looks: list[Looks | InputError] = []
    for row in np.unique(np.linspace(0, len(files) - 1, _LOOKED_AT).astype(int)) if len(files) else ():
        try:
            looks.append(look(bytes(files.read([int(row)])[0]), files.name(int(row))))
        except InputError as error:
            looks.append(error)
    return looks
