"""Where the windows of a convolution or of a pooling lie."""

from typing import NamedTuple

import jax

Padding = tuple[tuple[int, int], tuple[int, int]]


class Geometry(NamedTuple):
    """Of a convolution, beside the shapes."""

    strides: tuple[int, int]
    padding: Padding
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    @property
    def is_dense(self) -> bool:
        """Whether each output sees all channels of an unbroken window."""
        return self.dilation == (1, 1) and self.groups == 1


def same_padding(kernel_size: tuple[int, int], dilation: tuple[int, int] = (1, 1)) -> Padding:
    """The (before, after) amounts that keep the size at stride 1.

    Unlike XLA's SAME they do not depend on the stride, and so agree with PyTorch's `padding=k // 2` for odd k.
    """
    height, width = spans_of(kernel_size, dilation)
    return ((height - 1) // 2, height // 2), ((width - 1) // 2, width // 2)


def strided_padding(
    size: tuple[int, int], kernel_size: tuple[int, int], strides: tuple[int, int], dilation: tuple[int, int] = (1, 1)
) -> Padding:
    """TensorFlow's and XLA's SAME: as few pixels as ceil(size / stride) outputs need, the odd one behind."""

    def amounts(size: int, span: int, stride: int) -> tuple[int, int]:
        total = max((-(-size // stride) - 1) * stride + span - size, 0)
        return total // 2, total - total // 2

    height, width = map(amounts, size, spans_of(kernel_size, dilation), strides)
    return height, width


def spans_of(window: tuple[int, int], dilation: tuple[int, int]) -> tuple[int, int]:
    """How many pixels a window reaches over, whose pixels stand `dilation` apart."""
    return (window[0] - 1) * dilation[0] + 1, (window[1] - 1) * dilation[1] + 1


def size_of(images: jax.Array) -> str:
    return f"a map of {images.shape[1]}x{images.shape[2]}"
