"""The vision transformer, as torchvision and timm name it; both fuse queries, keys and values (q | k | v)."""

from collections.abc import Collection

from cnn_jax.models.pretrained import interpolation, rules
from cnn_jax.models.pretrained.interpolation import Resize
from cnn_jax.models.pretrained.naming import NameMap
from cnn_jax.models.pretrained.rules import Part, Rule

_FUSED = ("query", "key", "value")


def torchvision(paths: Collection[str]) -> NameMap:
    """The fused layer is no module of its own there (`torch.nn.MultiheadAttention`)."""
    names = {"stem/conv": "conv_proj", "norm": "encoder.ln", "head/logits": "heads.head"}
    leaves, parts = _stem("class_token", "encoder.pos_embedding")
    for number, block in enumerate(_blocks(paths)):
        key = f"encoder.layers.encoder_layer_{number}"
        names |= {f"{block}/norm1": f"{key}.ln_1", f"{block}/norm2": f"{key}.ln_2"}
        names |= {f"{block}/attention/out": f"{key}.self_attention.out_proj"}
        names |= {f"{block}/mlp/expand": f"{key}.mlp.0", f"{block}/mlp/project": f"{key}.mlp.3"}
        for place, part in enumerate(_FUSED):
            path = f"{block}/attention/{part}"
            leaves[f"{path}/kernel"] = (f"{key}.self_attention.in_proj_weight", rules.DENSE)
            leaves[f"{path}/bias"] = (f"{key}.self_attention.in_proj_bias", rules.AS_IT_IS)
            parts[path] = rules.stacked(place, 3)
    return NameMap(names, leaves=leaves, parts=parts, resizes=_resizes(interpolation.torchvision_positions))


def timm(paths: Collection[str]) -> NameMap:
    names = {"stem/conv": "patch_embed.proj", "norm": "norm", "head/logits": "head"}
    leaves, parts = _stem("cls_token", "pos_embed")
    for number, block in enumerate(_blocks(paths)):
        key = f"blocks.{number}"
        names |= {f"{block}/norm1": f"{key}.norm1", f"{block}/norm2": f"{key}.norm2"}
        names |= {f"{block}/attention/out": f"{key}.attn.proj"}
        names |= {f"{block}/mlp/expand": f"{key}.mlp.fc1", f"{block}/mlp/project": f"{key}.mlp.fc2"}
        for place, part in enumerate(_FUSED):
            names[f"{block}/attention/{part}"] = f"{key}.attn.qkv"
            parts[f"{block}/attention/{part}"] = rules.stacked(place, 3)
    return NameMap(names, leaves=leaves, parts=parts, resizes=_resizes(interpolation.timm_positions))


def _blocks(paths: Collection[str]) -> list[str]:
    return [path.removesuffix("/norm1") for path in paths if path.endswith("/norm1")]


def _stem(token: str, positions: str) -> tuple[dict[str, tuple[str, Rule]], dict[str, Part]]:
    """The leaves, and those that are parts: the class token's position is the first of all there."""
    leaves = {
        "stem/class_token": (token, rules.TOKEN),
        "stem/class_position": (positions, rules.TOKEN),
        "stem/position_embedding": (positions, rules.TOKENS),
    }
    return leaves, {"stem/class_position": rules.CLASS_PART, "stem/position_embedding": rules.MAP_PART}


def _resizes(positions: Resize) -> dict[str, Resize]:
    return {"stem/class_position": interpolation.kept, "stem/position_embedding": positions}
