"""A sweep against the config tree: what a trial would refuse is said before the first one."""

from cnn_jax.tuning.sweep_types import Sweep


def check_against_config(sweep: Sweep, trials: int | None) -> None:
    """Every parameter and value against the config."""
