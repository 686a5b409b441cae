"""cnn_jax: train, tune, explain and ship convolutional image classifiers in JAX.

`import cnn_jax` is cheap; the rooms are imported where they are used:

    from cnn_jax.config import default_config
    from cnn_jax.experiment import fit
    summary = fit(default_config(), "runs/first")

Import it before JAX makes its first array: XLA must be told a few things before it starts (`runtime.startup`).
"""

from cnn_jax.runtime import startup

__version__ = "0.1.0"

startup.set_flags()
