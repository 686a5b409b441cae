"""CoAtNet, as timm names it (maxxvit.py)."""

from collections.abc import Collection

from cnn_jax.models.coatnet import HEAD_SIZE
from cnn_jax.models.pretrained import interpolation, rules
from cnn_jax.models.pretrained.interpolation import Resize
from cnn_jax.models.pretrained.layouts.stages import stages_of
from cnn_jax.models.pretrained.naming import NameMap
from cnn_jax.models.pretrained.rules import Part, Rule

_MBCONV = {
    "pre_norm": "pre_norm",
    "expand/conv": "conv1_1x1",
    "expand/norm": "norm1",
    "depthwise": "conv2_kxk",
    "norm": "norm2",
    "project": "conv3_1x1",
}
_TRANSFORMER = {"attention/out": "attn.proj", "norm2": "norm2", "mlp/expand": "mlp.fc1", "mlp/project": "mlp.fc2"}


def timm(paths: Collection[str]) -> NameMap:
    """Dense layers of blocks are 1x1 convolutions; of q, k and v each head's stand together, one head after the other.

    What tells the two networks apart tells where squeeze-and-excitation stands and what a head is: a hidden layer.
    """
    is_paper = "head/hidden1" in paths
    names = {"stem/conv1/conv": "stem.conv1", "stem/conv1/norm": "stem.norm1", "stem/conv2": "stem.conv2"}
    kernels: dict[str, Rule] = {}
    leaves: dict[str, tuple[str, Rule]] = {}
    parts: dict[str, Part] = {}
    resizes: dict[str, Resize] = {}
    for stage, blocks in enumerate(stages_of(paths)):
        for number, block in enumerate(blocks):
            key = f"stages.{stage}.blocks.{number}"
            if f"{block}/shortcut/conv" in paths:
                names[f"{block}/shortcut/conv"] = f"{key}.shortcut.expand"
            if f"{block}/depthwise" in paths:
                squeeze = f"{key}.se" if is_paper else f"{key}.se_early"
                dense = {"squeeze_excite/reduce": f"{squeeze}.fc1", "squeeze_excite/expand": f"{squeeze}.fc2"}
                names |= {f"{block}/{part}": f"{key}.{name}" for part, name in _MBCONV.items()}
                names |= {f"{block}/{part}": name for part, name in dense.items()}
                kernels |= {f"{block}/{part}": rules.POINTWISE for part in dense}
                continue
            # Where the map is halved, the norm is followed by the pooling there.
            names[f"{block}/norm1"] = f"{key}.norm1.norm" if number == 0 else f"{key}.norm1"
            names |= {f"{block}/{part}": f"{key}.{name}" for part, name in _TRANSFORMER.items()}
            for place, part in enumerate(("query", "key", "value")):
                names[f"{block}/attention/{part}"] = f"{key}.attn.qkv"
                parts[f"{block}/attention/{part}"] = rules.stacked(place, 3, HEAD_SIZE)
            dense_layers = [path for path in names if path.startswith((f"{block}/attention/", f"{block}/mlp/"))]
            kernels |= dict.fromkeys(dense_layers, rules.POINTWISE)
            bias = f"{block}/attention/relative_position_bias"
            leaves[bias] = (f"{key}.attn.rel_pos.relative_position_bias_table", rules.OFFSETS)
            resizes[bias] = interpolation.timm_offsets
    head = {"norm": "head.norm", "head/hidden1": "head.pre_logits.fc"} if is_paper else {"norm": "norm"}
    names |= head | {"head/logits": "head.fc"}
    counted = r".*\.(num_batches_tracked|relative_position_index)"  # the latter follows from the size of the map
    return NameMap(names, kernels, leaves, parts, resizes, counted, first="stem/conv1/conv")
