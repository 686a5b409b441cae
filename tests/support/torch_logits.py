"""What `tests/tools/record_torch_logits.py` recorded of networks with made-up weights, and what they are called here."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.config.tree import default_config, override
from cnn_jax.models import Classifier, make_model
from tests.support.helpers import ROOT
from tests.support.made_up_weights import made_up_state_dict

FOLDER = ROOT / "tests/fixtures/torch_logits"
TIMM, TENSORFLOW = {"origin": "timm"}, {"origin": "tensorflow"}

# A file's name without its ending: the name and the arguments of the network here.
RECORDED: dict[str, tuple[str, dict[str, Any]]] = {
    "torchvision_mobilenet_v2": ("mobilenet_v2", {}),
    "timm_mobilenetv2_100": ("mobilenet_v2", {}),
    "torchvision_mobilenet_v3_small": ("mobilenet_v3_small", {}),
    "torchvision_mobilenet_v3_large": ("mobilenet_v3_large", {}),
    "timm_mobilenetv3_small_100": ("mobilenet_v3_small", TIMM),
    "timm_mobilenetv3_large_100": ("mobilenet_v3_large", TIMM),
    "timm_tf_mobilenetv3_small_100": ("mobilenet_v3_small", TENSORFLOW),
    "timm_tf_mobilenetv3_large_100": ("mobilenet_v3_large", TENSORFLOW),
    "torchvision_efficientnet_b0": ("efficientnet_b0", {}),
    "torchvision_efficientnet_b1": ("efficientnet_b1", {}),
    "torchvision_efficientnet_b2": ("efficientnet_b2", {}),
    "timm_efficientnet_b0": ("efficientnet_b0", {}),
    "timm_tf_efficientnet_b0": ("efficientnet_b0", TENSORFLOW),
    "timm_tf_efficientnet_b1": ("efficientnet_b1", TENSORFLOW),
    "timm_tf_efficientnet_b2": ("efficientnet_b2", TENSORFLOW),
    "lukemelas_efficientnet-b0": ("efficientnet_b0", TENSORFLOW),
    "timm_tf_efficientnet_lite0": ("efficientnet_lite0", {}),
    "timm_tf_efficientnet_lite1": ("efficientnet_lite1", {}),
    "timm_tf_efficientnet_lite2": ("efficientnet_lite2", {}),
    "lukemelas_efficientnet-lite0": ("efficientnet_lite0", {}),
}


@dataclasses.dataclass(frozen=True)
class Recorded:
    """Logits [2, 16] of made-up images; the state dict; torch's count of multiply-adds with 1000 classes."""

    state_dict: dict[str, np.ndarray]
    size: int
    logits: np.ndarray
    counted_size: int
    multiply_adds: int


def recorded(file: str) -> Recorded:
    with np.load(FOLDER / f"{file}.npz", allow_pickle=False) as found:
        sizes = [tuple(int(size) for size in shape.split("x") if size) for shape in found["shapes"].tolist()]
        made_up = made_up_state_dict(dict(zip(found["keys"].tolist(), sizes, strict=True)))
        counts = [int(found[name]) for name in ("size", "counted_size", "multiply_adds")]
        return Recorded(made_up, counts[0], found["logits"], *counts[1:])


def network(name: str, arguments: dict[str, Any], num_classes: int) -> Classifier:
    block = override(default_config(name), [(f"model.{key}", value) for key, value in arguments.items()]).model
    return make_model(block, num_classes)


def shapes_of(model: Classifier, channels: int = 3) -> Any:
    """Of its variables for images that need not be large."""
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, 32, 32, channels))))
    return {"params": shapes["params"], "batch_stats": shapes.get("batch_stats", {})}
