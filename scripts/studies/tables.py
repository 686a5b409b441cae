"""What studies print."""

from collections.abc import Sequence

from cnn_jax.runs.noise import spread


def mean_and_interval(shares: Sequence[float]) -> str:
    """Of shares over seeds, in per cent: 98.2 (97.9 to 98.5), the 95 % interval of the mean; or the value of one."""
    found = spread([100 * share for share in shares])
    interval = "" if found.interval is None else f" ({found.interval[0]:.1f} to {found.interval[1]:.1f})"
    return f"{found.mean:.1f}{interval}"
