"""From a config's `data` block to the splits of an experiment."""

from typing import Any

from cnn_jax.data.digits import load_digits
from cnn_jax.data.splits import Examples, Source, Splits, make_splits
from cnn_jax.data.tfds_source import load_tfds

__all__ = ["SOURCES", "Examples", "Source", "Splits", "load"]

SOURCES = {"digits": load_digits, "tfds": load_tfds}


def load(data: Any) -> Splits:
    """Reads, decodes (once; see `cache`) and splits the data that the config's `data` block names."""
    return make_splits(SOURCES[data.source](data), data.validation, data.test)
