"""What JAX must be told before it starts, in one place: `import cnn_jax` does it, for scripts and library alike."""

import os

_YNN = "xla_cpu_experimental_ynn_fusion_type"
# jax#39103: f32 [32769, 3] -> sums of squares of rows were wrong by a tenth and more; right again in 0.11.2.
_WRONG_SUMS = ((0, 10, 2), (0, 11, 2))


def set_flags() -> None:
    """Sets the flags that XLA reads once, when JAX makes its first array; whoever names one in XLA_FLAGS has decided.

    Without this, jaxlib 0.10.2 computes some sums wrong on CPU: its reductions are then left to XLA's own code.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if _YNN not in flags and _WRONG_SUMS[0] <= jaxlib_version() < _WRONG_SUMS[1]:
        os.environ["XLA_FLAGS"] = f"{flags} --{_YNN}=-reduce".strip()


def jaxlib_version() -> tuple[int, ...]:
    """(0, 10, 2); () where there is no jaxlib. JAX itself is not imported."""
    try:
        from jaxlib.version import __version__
    except ImportError:
        return ()
    return tuple(int(part) for part in __version__.split(".")[:3] if part.isdigit())
