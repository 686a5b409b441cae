"""MobileNetV2, MobileNetV3, EfficientNet and EfficientNet-Lite, as torchvision, timm and lukemelas name them.

lukemelas is EfficientNet-PyTorch (github.com/lukemelas), whose names the published EfficientNet-Lite files have too.
"""

from collections.abc import Collection

from cnn_jax.models.pretrained import rules
from cnn_jax.models.pretrained.layouts.stages import parts_of, stages_of
from cnn_jax.models.pretrained.naming import NameMap

_PARTS = ("expand", "depthwise", "squeeze_excite", "project")


def torchvision_v2(paths: Collection[str]) -> NameMap:
    """`features` is one list of the stem, all blocks and the last convolution."""
    names = _conv_norm("stem", "features.0.0", "features.0.1")
    blocks = [block for stage in stages_of(paths) for block in stage]
    for number, block in enumerate(blocks, start=1):
        key = f"features.{number}.conv"
        *before, last = parts_of(paths, block, _PARTS)
        for place, part in enumerate(before):
            names |= _conv_norm(f"{block}/{part}", f"{key}.{place}.0", f"{key}.{place}.1")
        names |= _conv_norm(f"{block}/{last}", f"{key}.{len(before)}", f"{key}.{len(before) + 1}")
    end = f"features.{len(blocks) + 1}"
    return NameMap(names | _conv_norm(_last_stage(paths), f"{end}.0", f"{end}.1") | {"head/logits": "classifier.1"})


def torchvision_v3(paths: Collection[str]) -> NameMap:
    """The same list; each block's parts are `block`."""
    blocks = [block for stage in stages_of(paths) for block in stage]
    keys = {block: f"features.{number}.block" for number, block in enumerate(blocks, start=1)}
    head = {"head/hidden1": "classifier.0", "head/logits": "classifier.3"}
    return _torchvision(paths, keys, f"features.{len(blocks) + 1}", head)


def torchvision_efficientnet(paths: Collection[str]) -> NameMap:
    """`features` is a list of the stem, the stages and the last convolution."""
    stages = stages_of(paths)
    keys = {
        block: f"features.{stage}.{number}.block"
        for stage, blocks in enumerate(stages, start=1)
        for number, block in enumerate(blocks)
    }
    return _torchvision(paths, keys, f"features.{len(stages) + 1}", {"head/logits": "classifier.1"})


def _torchvision(paths: Collection[str], blocks: dict[str, str], end: str, head: dict[str, str]) -> NameMap:
    names = _conv_norm("stem", "features.0.0", "features.0.1")
    for block, key in blocks.items():
        for place, part in enumerate(parts_of(paths, block, _PARTS)):
            if part == "squeeze_excite":
                names |= _squeeze_excite(block, f"{key}.{place}.fc1", f"{key}.{place}.fc2")
            else:
                names |= _conv_norm(f"{block}/{part}", f"{key}.{place}.0", f"{key}.{place}.1")
    names |= _conv_norm(_last_stage(paths), f"{end}.0", f"{end}.1") | head
    return NameMap(names, _pointwise(names))


def timm(paths: Collection[str]) -> NameMap:
    """A block without expansion has a class of its own there, which numbers its parts in another way."""
    names = _conv_norm("stem", "conv_stem", "bn1")
    stages = stages_of(paths)
    for stage, blocks in enumerate(stages):
        for number, block in enumerate(blocks):
            key = f"blocks.{stage}.{number}"
            parts = parts_of(paths, block, _PARTS)
            convolutions = ("conv_pw", "conv_dw", "conv_pwl") if "expand" in parts else ("conv_dw", "conv_pw")
            if "squeeze_excite" in parts:
                parts.remove("squeeze_excite")
                names |= _squeeze_excite(block, f"{key}.se.conv_reduce", f"{key}.se.conv_expand")
            for place, (part, convolution) in enumerate(zip(parts, convolutions, strict=True), start=1):
                names |= _conv_norm(f"{block}/{part}", f"{key}.{convolution}", f"{key}.bn{place}")
    end = _last_stage(paths)
    if "head/hidden1" not in paths:
        names |= _conv_norm(end, "conv_head", "bn2")
        return NameMap(names | {"head/logits": "classifier"}, _pointwise(names))
    # In MobileNetV3 `conv_head` comes behind the global mean: it is a dense layer.
    names |= _conv_norm(end, f"blocks.{len(stages)}.0.conv", f"blocks.{len(stages)}.0.bn1")
    names |= {"head/hidden1": "conv_head", "head/logits": "classifier"}
    return NameMap(names, _pointwise(names) | {"head/hidden1": rules.POINTWISE})


def lukemelas(paths: Collection[str]) -> NameMap:
    names = _conv_norm("stem", "_conv_stem", "_bn0")
    blocks = [block for stage in stages_of(paths) for block in stage]
    for number, block in enumerate(blocks):
        key = f"_blocks.{number}"
        for part in parts_of(paths, block, _PARTS):
            if part == "squeeze_excite":
                names |= _squeeze_excite(block, f"{key}._se_reduce", f"{key}._se_expand")
            else:
                place = ("expand", "depthwise", "project").index(part)
                names |= _conv_norm(f"{block}/{part}", f"{key}._{part}_conv", f"{key}._bn{place}")
    names |= _conv_norm(_last_stage(paths), "_conv_head", "_bn1") | {"head/logits": "_fc"}
    return NameMap(names, _pointwise(names))


def _conv_norm(path: str, convolution: str, norm: str) -> dict[str, str]:
    return {f"{path}/conv": convolution, f"{path}/norm": norm}


def _squeeze_excite(block: str, reduce: str, expand: str) -> dict[str, str]:
    return {f"{block}/squeeze_excite/reduce": reduce, f"{block}/squeeze_excite/expand": expand}


def _pointwise(names: Collection[str]) -> dict[str, rules.Rule]:
    """The dense layers of squeeze-and-excitation are 1x1 convolutions in all these libraries."""
    return {path: rules.POINTWISE for path in names if "/squeeze_excite/" in path}


def _last_stage(paths: Collection[str]) -> str:
    """The 1x1 convolution behind the blocks."""
    return f"stage{len(stages_of(paths)) + 1}"
