"""cnn_jax: train, tune, explain and ship convolutional image classifiers in JAX.

    import cnn_jax

    cnn_jax.fit("digits", "runs/digits")
    run = cnn_jax.load_run("runs/digits")
    print(run.predict("seven.png").names)

`import cnn_jax` is cheap; the rooms are imported where they are used. Import it before JAX makes its first array: XLA
must be told a few things before it starts (`runtime.startup`).
"""

import importlib
from typing import TYPE_CHECKING, Any

from cnn_jax.runtime import startup

if TYPE_CHECKING:
    from cnn_jax.config import default_config, load_config, register
    from cnn_jax.experiment import EpochEnd, fit
    from cnn_jax.inference import Predictions, Run, load_run
    from cnn_jax.tracking import search_runs

__version__ = "0.1.0"
__all__ = [
    "EpochEnd",
    "Predictions",
    "Run",
    "default_config",
    "fit",
    "load_config",
    "load_run",
    "register",
    "search_runs",
]

_ROOMS = {
    "config": ("default_config", "load_config", "register"),
    "experiment": ("EpochEnd", "fit"),
    "inference": ("Predictions", "Run", "load_run"),
    "tracking": ("search_runs",),
}

startup.set_flags()


def __getattr__(name: str) -> Any:
    """The names of `__all__`, imported when they are asked for."""
    for room, names in _ROOMS.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{room}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
