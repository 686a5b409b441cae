"""ResNet, ResNeXt and RegNet, as torchvision and timm name them."""

from collections.abc import Collection

from cnn_jax.models.pretrained import rules
from cnn_jax.models.pretrained.layouts.stages import parts_of, stages_of
from cnn_jax.models.pretrained.naming import NameMap

_SQUEEZE_EXCITE = "squeeze_excite"


def resnet(paths: Collection[str]) -> NameMap:
    """torchvision's and timm's names are the same."""
    names = {"stem/conv": "conv1", "stem/norm": "bn1"}
    for stage, blocks in enumerate(stages_of(paths), start=1):
        for number, block in enumerate(blocks):
            key = f"layer{stage}.{number}"
            *convolutions, last = parts_of(paths, block, ("conv1", "conv2", "conv3", "shortcut"))
            if last != "shortcut":
                convolutions.append(last)
            for place, part in enumerate(convolutions, start=1):
                names |= {f"{block}/{part}/conv": f"{key}.conv{place}", f"{block}/{part}/norm": f"{key}.bn{place}"}
            if last == "shortcut":
                names |= _pair(f"{block}/shortcut", f"{key}.downsample", ("0", "1"))
    return NameMap(names | {"head/logits": "fc"})


def torchvision_regnet(paths: Collection[str]) -> NameMap:
    parts = {"shortcut": "proj", "conv1": "f.a", "conv2": "f.b", _SQUEEZE_EXCITE: "f.se", "conv3": "f.c"}
    names = _pair("stem", "stem", ("0", "1"))
    for stage, blocks in enumerate(stages_of(paths), start=1):
        for number, block in enumerate(blocks):
            names |= _regnet_block(paths, block, f"trunk_output.block{stage}.block{stage}-{number}", parts, ("0", "1"))
    return _with_squeezes(names | {"head/logits": "fc"})


def timm_regnet(paths: Collection[str]) -> NameMap:
    parts = {"conv1": "conv1", "conv2": "conv2", _SQUEEZE_EXCITE: "se", "conv3": "conv3", "shortcut": "downsample"}
    names = _pair("stem", "stem", ("conv", "bn"))
    for stage, blocks in enumerate(stages_of(paths), start=1):
        for number, block in enumerate(blocks, start=1):
            names |= _regnet_block(paths, block, f"s{stage}.b{number}", parts, ("conv", "bn"))
    return _with_squeezes(names | {"head/logits": "head.fc"})


def _regnet_block(
    paths: Collection[str], block: str, key: str, parts: dict[str, str], suffixes: tuple[str, str]
) -> dict[str, str]:
    names: dict[str, str] = {}
    for part in parts_of(paths, block, parts):
        if part == _SQUEEZE_EXCITE:
            names |= {f"{block}/{part}/reduce": f"{key}.{parts[part]}.fc1"}
            names |= {f"{block}/{part}/expand": f"{key}.{parts[part]}.fc2"}
        else:
            names |= _pair(f"{block}/{part}", f"{key}.{parts[part]}", suffixes)
    return names


def _pair(path: str, key: str, suffixes: tuple[str, str]) -> dict[str, str]:
    """Convolution and norm of a `ConvNorm`."""
    return {f"{path}/conv": f"{key}.{suffixes[0]}", f"{path}/norm": f"{key}.{suffixes[1]}"}


def _with_squeezes(names: dict[str, str]) -> NameMap:
    """The dense layers of squeeze-and-excitation are 1x1 convolutions there."""
    return NameMap(names, {path: rules.POINTWISE for path in names if f"/{_SQUEEZE_EXCITE}/" in path})
