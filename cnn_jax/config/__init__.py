"""Every key of a config with its default, its reason and its rule; overrides of keys."""

from cnn_jax.config.tree import default_config, describe, load_config, override, to_json, validate

__all__ = ["default_config", "describe", "load_config", "override", "to_json", "validate"]
