"""The libraries whose state dicts are known, for each network by the name that `config.model_keys.MODELS` gives it."""

from cnn_jax.models.pretrained.layouts import coatnet, convnext, mobile, plain, residual, vit
from cnn_jax.models.pretrained.naming import Layout

_MOBILENET_V2: dict[str, Layout] = {"torchvision": mobile.torchvision_v2, "timm": mobile.timm}
_MOBILENET_V3: dict[str, Layout] = {"torchvision": mobile.torchvision_v3, "timm": mobile.timm}
_EFFICIENTNET: dict[str, Layout] = {
    "torchvision": mobile.torchvision_efficientnet,
    "timm": mobile.timm,
    "lukemelas": mobile.lukemelas,
}
_EFFICIENTNET_LITE: dict[str, Layout] = {"timm": mobile.timm, "lukemelas": mobile.lukemelas}
_RESNET: dict[str, Layout] = {"torchvision": residual.resnet, "timm": residual.resnet}
_REGNET: dict[str, Layout] = {"torchvision": residual.torchvision_regnet, "timm": residual.timm_regnet}
_VGG: dict[str, Layout] = {"torchvision": plain.torchvision_vgg, "timm": plain.timm_vgg}

_VIT: dict[str, Layout] = {"torchvision": vit.torchvision, "timm": vit.timm}

LAYOUTS: dict[str, dict[str, Layout]] = {
    "mobilenet_v2": _MOBILENET_V2,
    "mobilenet_v3_small": _MOBILENET_V3,
    "mobilenet_v3_large": _MOBILENET_V3,
    "efficientnet_b0": _EFFICIENTNET,
    "efficientnet_b1": _EFFICIENTNET,
    "efficientnet_b2": _EFFICIENTNET,
    "efficientnet_lite0": _EFFICIENTNET_LITE,
    "efficientnet_lite1": _EFFICIENTNET_LITE,
    "efficientnet_lite2": _EFFICIENTNET_LITE,
    "convnext_atto": {"timm": convnext.timm_convolutions},
    "convnext_femto": {"timm": convnext.timm_convolutions},
    "convnext_pico": {"timm": convnext.timm_convolutions},
    "convnext_nano": {"timm": convnext.timm_convolutions},
    "convnext_tiny": {"torchvision": convnext.torchvision, "timm": convnext.timm},
    "vit_tiny": _VIT,
    "vit_small": _VIT,
    "vit_base": _VIT,
    "coatnet_0": {"timm": coatnet.timm},
    "coatnet_0_rw": {"timm": coatnet.timm},
    **dict.fromkeys(("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d"), _RESNET),
    **dict.fromkeys(("regnet_x_400mf", "regnet_x_800mf", "regnet_y_400mf", "regnet_y_800mf"), _REGNET),
    **{f"vgg{layers}{norm}": _VGG for layers in (11, 13, 16, 19) for norm in ("", "_bn")},
    "alexnet": {"torchvision": plain.torchvision_alexnet},
}
