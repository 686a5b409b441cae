"""The vision transformer, as torchvision and timm name it; both fuse queries, keys and values (q | k | v)."""

from collections.abc import Collection
from functools import partial

from cnn_jax.models.pretrained import interpolation, rules
from cnn_jax.models.pretrained.interpolation import Resize
from cnn_jax.models.pretrained.naming import NameMap

_PARTS = ("norm1", "attention/out", "norm2", "mlp/expand", "mlp/project")


def _layout(
    paths: Collection[str],
    *,
    modules: dict[str, str],
    token: str,
    positions: str,
    block: str,
    parts: tuple[str, ...],
    fused: str,
    resize: Resize,
) -> NameMap:
    """`parts` are those of `_PARTS` in a block, `fused` what its weight and its bias of queries, keys and values begin
    with: in torchvision these belong to no module of their own (`torch.nn.MultiheadAttention`).

    The class token's position is the first of all there.
    """
    names = dict(modules)
    leaves = {
        "stem/class_token": (token, rules.TOKEN),
        "stem/class_position": (positions, rules.TOKEN),
        "stem/position_embedding": (positions, rules.TOKENS),
    }
    pieces = {"stem/class_position": rules.CLASS_PART, "stem/position_embedding": rules.MAP_PART}
    resizes = {"stem/class_position": interpolation.kept, "stem/position_embedding": resize}
    blocks = [path.removesuffix("/norm1") for path in paths if path.endswith("/norm1")]
    for number, path in enumerate(blocks):
        key = block.format(number)
        names |= {f"{path}/{part}": f"{key}.{name}" for part, name in zip(_PARTS, parts, strict=True)}
        for place, part in enumerate(("query", "key", "value")):
            leaves[f"{path}/attention/{part}/kernel"] = (f"{key}.{fused}weight", rules.DENSE)
            leaves[f"{path}/attention/{part}/bias"] = (f"{key}.{fused}bias", rules.AS_IT_IS)
            pieces[f"{path}/attention/{part}"] = rules.stacked(place, 3)
    return NameMap(names, leaves=leaves, parts=pieces, resizes=resizes)


torchvision = partial(
    _layout,
    modules={"stem/conv": "conv_proj", "norm": "encoder.ln", "head/logits": "heads.head"},
    token="class_token",
    positions="encoder.pos_embedding",
    block="encoder.layers.encoder_layer_{}",
    parts=("ln_1", "self_attention.out_proj", "ln_2", "mlp.0", "mlp.3"),
    fused="self_attention.in_proj_",
    resize=interpolation.torchvision_positions,
)
timm = partial(
    _layout,
    modules={"stem/conv": "patch_embed.proj", "norm": "norm", "head/logits": "head"},
    token="cls_token",
    positions="pos_embed",
    block="blocks.{}",
    parts=("norm1", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2"),
    fused="attn.qkv.",
    resize=interpolation.timm_positions,
)
