"""ConvNeXt, as torchvision and timm name it."""

import dataclasses
from collections.abc import Collection

from cnn_jax.models.pretrained import rules
from cnn_jax.models.pretrained.layouts.stages import stages_of
from cnn_jax.models.pretrained.naming import NameMap


def torchvision(paths: Collection[str]) -> NameMap:
    """`features` is a list of the stem, a stage, what halves its map, the next stage and so on."""
    names = {"stem/conv": "features.0.0", "stem/norm": "features.0.1"}
    leaves = {}
    for stage, blocks in enumerate(stages_of(paths)):
        if stage > 0:
            names |= _downsample(blocks[0], f"features.{2 * stage}")
        for number, block in enumerate(blocks):
            key = f"features.{2 * stage + 1}.{number}"
            parts = zip(("depthwise", "norm", "mlp/expand", "mlp/project"), (0, 2, 3, 5), strict=True)
            names |= {f"{block}/{part}": f"{key}.block.{place}" for part, place in parts}
            leaves[f"{block}/layer_scale/scale"] = (f"{key}.layer_scale", rules.PER_CHANNEL)
    return NameMap(names | {"norm": "classifier.0", "head/logits": "classifier.2"}, leaves=leaves)


def timm(paths: Collection[str]) -> NameMap:
    names = {"stem/conv": "stem.0", "stem/norm": "stem.1"}
    leaves = {}
    for stage, blocks in enumerate(stages_of(paths)):
        if stage > 0:
            names |= _downsample(blocks[0], f"stages.{stage}.downsample")
        for number, block in enumerate(blocks):
            key = f"stages.{stage}.blocks.{number}"
            names |= {f"{block}/depthwise": f"{key}.conv_dw", f"{block}/norm": f"{key}.norm"}
            names |= {f"{block}/mlp/expand": f"{key}.mlp.fc1", f"{block}/mlp/project": f"{key}.mlp.fc2"}
            leaves[f"{block}/layer_scale/scale"] = (f"{key}.gamma", rules.AS_IT_IS)
    return NameMap(names | {"norm": "head.norm", "head/logits": "head.fc"}, leaves=leaves)


def timm_convolutions(paths: Collection[str]) -> NameMap:
    """Of the small networks, whose dense layers are 1x1 convolutions there (`conv_mlp`)."""
    names = timm(paths)
    return dataclasses.replace(names, kernels={path: rules.POINTWISE for path in names.modules if "/mlp/" in path})


def _downsample(block: str, key: str) -> dict[str, str]:
    return {f"{block}/downsample/norm": f"{key}.0", f"{block}/downsample/conv": f"{key}.1"}
