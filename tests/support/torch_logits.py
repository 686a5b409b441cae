"""What `tests/tools/record_torch_logits.py` recorded of networks with made-up weights, and what they are here."""

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
RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d")
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
    "timm_convnext_atto": ("convnext_atto", {}),
    "timm_convnext_femto": ("convnext_femto", {}),
    "timm_convnext_pico": ("convnext_pico", {}),
    "timm_convnext_nano": ("convnext_nano", {}),
    "timm_convnext_tiny": ("convnext_tiny", {}),
    "torchvision_convnext_tiny": ("convnext_tiny", {}),
    "timm_vit_tiny_patch16_224": ("vit_tiny", {}),
    "timm_vit_small_patch16_224": ("vit_small", {}),
    "torchvision_vit_b_16": ("vit_base", {}),
    "timm_coatnet_0_224": ("coatnet_0", {}),
    "timm_coatnet_0_rw_224": ("coatnet_0_rw", {}),
    **{f"torchvision_{name}": (name, {}) for name in RESNETS},
    "timm_resnet50": ("resnet50", {}),
    **{f"torchvision_regnet_{name}": (f"regnet_{name}", {}) for name in ("x_400mf", "x_800mf", "y_400mf", "y_800mf")},
    "timm_regnetx_004": ("regnet_x_400mf", TIMM),
    "timm_regnetx_004_tv": ("regnet_x_400mf", {}),
    "timm_regnetx_008": ("regnet_x_800mf", {}),
    "timm_regnety_004": ("regnet_y_400mf", {}),
    "timm_regnety_008": ("regnet_y_800mf", TIMM),
    "timm_regnety_008_tv": ("regnet_y_800mf", {}),
    "torchvision_alexnet": ("alexnet", {}),
    **{f"torchvision_vgg{layers}": (f"vgg{layers}", {}) for layers in (11, 13, 16, 19)},
    **{f"torchvision_vgg{layers}_bn": (f"vgg{layers}_bn", {}) for layers in (11, 13, 16, 19)},
    "timm_vgg11": ("vgg11", {}),
    "timm_vgg16_bn": ("vgg16_bn", {}),
}


# 0.5 GB and more of weights: names and shapes alone are compared.
HUGE = tuple(file for file in RECORDED if "vgg" in file and file not in ("torchvision_vgg11", "timm_vgg16_bn"))
# Their blocks are those of others, or they are large. AlexNet and VGG apart, of each family one is left that is not.
SLOW = (
    *[f"torchvision_{name}" for name in RESNETS if name != "resnet18"], "torchvision_alexnet", "torchvision_vgg11",
    "torchvision_regnet_x_400mf", "torchvision_regnet_x_800mf", "torchvision_regnet_y_800mf", "timm_regnetx_004",
    "timm_regnetx_004_tv", "timm_regnetx_008", "timm_regnety_008", "timm_regnety_008_tv", "timm_vgg16_bn", *HUGE,
    "torchvision_mobilenet_v3_large", "timm_mobilenetv3_large_100", "timm_tf_mobilenetv3_large_100",
    "torchvision_efficientnet_b1", "torchvision_efficientnet_b2", "timm_tf_efficientnet_b0", "timm_tf_efficientnet_b1",
    "timm_tf_efficientnet_b2", "timm_tf_efficientnet_lite1", "timm_tf_efficientnet_lite2",
    "timm_convnext_femto", "timm_convnext_pico", "timm_convnext_nano", "timm_convnext_tiny",
    "torchvision_convnext_tiny", "timm_vit_small_patch16_224", "torchvision_vit_b_16",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Recorded:
    """Keys and shapes of the state dict; logits [2, 16] of made-up images; torch's multiply-adds with 1000 classes."""

    shapes: dict[str, tuple[int, ...]]
    size: int
    logits: np.ndarray
    counted_size: int
    multiply_adds: int

    @property
    def state_dict(self) -> dict[str, np.ndarray]:
        return made_up_state_dict(self.shapes)


def recorded(file: str) -> Recorded:
    with np.load(FOLDER / f"{file}.npz", allow_pickle=False) as found:
        sizes = [tuple(int(size) for size in shape.split("x") if size) for shape in found["shapes"].tolist()]
        shapes = dict(zip(found["keys"].tolist(), sizes, strict=True))
        counts = [int(found[name]) for name in ("size", "counted_size", "multiply_adds")]
        return Recorded(shapes, counts[0], found["logits"], *counts[1:])


def network(name: str, arguments: dict[str, Any], num_classes: int) -> Classifier:
    block = override(default_config(name), [(f"model.{key}", value) for key, value in arguments.items()]).model
    return make_model(block, num_classes)


def shapes_of(model: Classifier, channels: int = 3, size: int = 96) -> Any:
    """Of its variables for images that need not be large."""
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, size, size, channels))))
    return {"params": shapes["params"], "batch_stats": shapes.get("batch_stats", {})}
