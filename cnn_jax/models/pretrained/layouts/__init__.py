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
_CONVNEXT: dict[str, Layout] = {
    "torchvision": convnext.torchvision,
    "timm": convnext.timm,
    "facebookresearch": convnext.facebookresearch,
}
_SMALL_CONVNEXT: dict[str, Layout] = {"timm": convnext.timm_convolutions}
_COATNET: dict[str, Layout] = {"timm": coatnet.timm}
_VIT: dict[str, Layout] = {"torchvision": vit.torchvision, "timm": vit.timm}

LAYOUTS: dict[str, dict[str, Layout]] = {
    "mobilenet_v2": _MOBILENET_V2,
    **dict.fromkeys(("mobilenet_v3_small", "mobilenet_v3_large"), _MOBILENET_V3),
    **dict.fromkeys(("efficientnet_b0", "efficientnet_b1", "efficientnet_b2"), _EFFICIENTNET),
    **dict.fromkeys(("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"), _EFFICIENTNET_LITE),
    **dict.fromkeys(("convnext_atto", "convnext_femto", "convnext_pico", "convnext_nano"), _SMALL_CONVNEXT),
    "convnext_tiny": _CONVNEXT,
    **dict.fromkeys(("vit_tiny", "vit_small", "vit_base"), _VIT),
    **dict.fromkeys(("coatnet_0", "coatnet_0_rw"), _COATNET),
    **dict.fromkeys(("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d"), _RESNET),
    **dict.fromkeys(("regnet_x_400mf", "regnet_x_800mf", "regnet_y_400mf", "regnet_y_800mf"), _REGNET),
    **{f"vgg{layers}{norm}": _VGG for layers in (11, 13, 16, 19) for norm in ("", "_bn")},
    "alexnet": {"torchvision": plain.torchvision_alexnet},
}
