"""From a config's `data` block to the splits of an experiment."""

from cnn_jax.data.loading import SOURCES, load
from cnn_jax.data.reading.image_dataset import ImageDataset
from cnn_jax.data.splits import Examples, Source, Split, Splits

__all__ = ["SOURCES", "Examples", "ImageDataset", "Source", "Split", "Splits", "load"]
