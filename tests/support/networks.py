"""Of each family of networks one, with few blocks: what does not depend on the depth is tested with it."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.config.model_keys import MODELS
from cnn_jax.models import Classifier
from cnn_jax.models.coatnet import MBConv, TransformerBlock


def family(name: str) -> str:
    """The class that a name of the table makes."""
    target = MODELS[name].load()
    return getattr(target, "func", target).__name__


# The first name of each class.
REPRESENTATIVES = tuple({family(name): name for name in reversed(MODELS)}.values())[::-1]

# What makes a deep network shallow.
_SHALLOW: dict[str, dict[str, Any]] = {
    "ResNet": {"blocks": (2, 1, 1, 1)},
    "ResNetCifar": {"blocks": 1},
    "RegNet": {"depth": 3},
    "AlexNet": {"hidden": (8, 8)},
    "AlexNet2012": {"hidden": (8, 8)},
    "VGG": {"blocks": (2, 1, 1, 1, 1), "widths": (8, 8, 8, 8, 8), "hidden": (8, 8)},
    "MobileNetV2": {"stages": ((1, 16, 1, 1), (6, 24, 2, 2))},
    "ConvNeXt": {"depths": (1, 1), "widths": (16, 32)},
    "ViT": {"depth": 1, "width": 32, "heads": 2},
    "CoAtNet": {"depths": (1, 2), "widths": (32, 64), "blocks": (MBConv, TransformerBlock), "hidden": 8},
    "EfficientNet": {"stages": ((1, 3, 1, 16, 1), (6, 5, 2, 24, 2))},
}


def shallow(model: Classifier) -> Classifier:
    """The same network with few blocks, or itself."""
    kind = type(model).__name__
    if kind == "MobileNetV3":
        return model.clone(stages=(model.stages[0], model.stages[2][:2]))  # type: ignore[attr-defined]
    return model.clone(**_SHALLOW.get(kind, {}))


def image_size(name: str) -> int:
    """A side that is large enough for the network, and not much more."""
    return {"AlexNet": 67, "AlexNet2012": 67, "VGG": 32, "ViT": 32, "CoAtNet": 32}.get(family(name), 16)


def randomized(variables: Any, seed: int = 0) -> Any:
    """Variables whose norms do something: scales and variances of 0.5 to 1.5, biases and means up to 0.5."""
    random = np.random.RandomState(seed)

    def draw(path: Any, value: jax.Array) -> jax.Array:
        low = {"var": 0.5, "scale": 0.5, "mean": -0.5, "bias": -0.5}.get(path[-1].key)
        drawn = random.uniform(low or 0, (low or 0) + 1, value.shape)
        return value if low is None else jnp.asarray(drawn, value.dtype)

    return jax.tree_util.tree_map_with_path(draw, variables)
