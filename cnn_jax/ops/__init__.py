"""Convolution, pooling and normalization of arrays [batch, height, width, channels], lowered for speed.

Models call these and nothing below them, so that how an operation is lowered stays in this room.
"""

from cnn_jax.ops.blur import blur_max_pool, blur_pool
from cnn_jax.ops.convolution import PAD_MODES, conv, pad
from cnn_jax.ops.geometry import Padding, same_padding, strided_padding
from cnn_jax.ops.normalization import batch_norm, local_response_norm, normalized
from cnn_jax.ops.pooling import adaptive_mean_pool, is_tiling, max_pool, mean_pool
from cnn_jax.ops.winograd import takes_tiles

__all__ = [
    "PAD_MODES", "Padding", "adaptive_mean_pool", "batch_norm", "blur_max_pool", "blur_pool", "conv", "is_tiling",
    "local_response_norm", "max_pool", "mean_pool", "normalized", "pad", "same_padding", "strided_padding",
    "takes_tiles",
]  # fmt: skip
