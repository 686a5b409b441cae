"""From a config's `data` block to the splits of an experiment."""

from cnn_jax.data.loading import load, load_source
from cnn_jax.data.reading.image_dataset import ImageDataset
from cnn_jax.data.sources.arrays import source_from_arrays
from cnn_jax.data.sources.in_memory import source_in_memory
from cnn_jax.data.splits import Examples, Source, Split, Splits

__all__ = [
    "Examples",
    "ImageDataset",
    "Source",
    "Split",
    "Splits",
    "load",
    "load_source",
    "source_from_arrays",
    "source_in_memory",
]
