"""ConvNeXt, as torchvision, timm and its authors (github.com/facebookresearch/ConvNeXt) name it."""

import dataclasses
from collections.abc import Collection
from functools import partial

from cnn_jax.models.pretrained import rules
from cnn_jax.models.pretrained.layouts.stages import stages_of
from cnn_jax.models.pretrained.naming import NameMap
from cnn_jax.models.pretrained.rules import Rule

_PARTS = ("depthwise", "norm", "mlp/expand", "mlp/project")


def _layout(
    paths: Collection[str],
    *,
    stem: str,
    downsample: str,
    block: str,
    parts: tuple[str, ...],
    layer_scale: tuple[str, Rule],
    norm: str,
    head: str,
) -> NameMap:
    """`parts` are those of `_PARTS` in a block.

    `downsample` (what halves the map before a stage) and `block` are formats with `stage` and `number`, from 0.
    torchvision's have `twice`, too, double the stage: its one list has both in turns.
    """
    names = {"stem/conv": f"{stem}.0", "stem/norm": f"{stem}.1", "norm": norm, "head/logits": head}
    leaves = {}
    for stage, blocks in enumerate(stages_of(paths)):
        for number, path in enumerate(blocks):
            place = {"stage": stage, "number": number, "twice": 2 * stage, "after": 2 * stage + 1}
            if stage > 0 and number == 0:
                key = downsample.format(**place)
                names |= {f"{path}/downsample/norm": f"{key}.0", f"{path}/downsample/conv": f"{key}.1"}
            key = block.format(**place)
            names |= {f"{path}/{part}": f"{key}.{name}" for part, name in zip(_PARTS, parts, strict=True)}
            leaves[f"{path}/layer_scale/scale"] = (f"{key}.{layer_scale[0]}", layer_scale[1])
    return NameMap(names, leaves=leaves)


torchvision = partial(
    _layout,
    stem="features.0",
    downsample="features.{twice}",
    block="features.{after}.{number}",
    parts=("block.0", "block.2", "block.3", "block.5"),
    layer_scale=("layer_scale", rules.PER_CHANNEL),
    norm="classifier.0",
    head="classifier.2",
)
timm = partial(
    _layout,
    stem="stem",
    downsample="stages.{stage}.downsample",
    block="stages.{stage}.blocks.{number}",
    parts=("conv_dw", "norm", "mlp.fc1", "mlp.fc2"),
    layer_scale=("gamma", rules.AS_IT_IS),
    norm="head.norm",
    head="head.fc",
)
facebookresearch = partial(
    _layout,
    stem="downsample_layers.0",
    downsample="downsample_layers.{stage}",
    block="stages.{stage}.{number}",
    parts=("dwconv", "norm", "pwconv1", "pwconv2"),
    layer_scale=("gamma", rules.AS_IT_IS),
    norm="norm",
    head="head",
)


def timm_convolutions(paths: Collection[str]) -> NameMap:
    """Of the small networks, whose dense layers are 1x1 convolutions there (`conv_mlp`)."""
    names = timm(paths)
    return dataclasses.replace(names, kernels={path: rules.POINTWISE for path in names.modules if "/mlp/" in path})
