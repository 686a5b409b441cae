"""Every key of a config with its default, its reason and its rule; overrides of keys; names of one's own."""

from cnn_jax.config import register
from cnn_jax.config.describe import describe
from cnn_jax.config.rules import Key
from cnn_jax.config.tree import default_config, load_config, override, to_json, validate

__all__ = ["Key", "default_config", "describe", "load_config", "override", "register", "to_json", "validate"]
