"""The networks of `tests/tools/make_attribution_fixtures.py`, with its weights; they take pixels in 0..255."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from cnn_jax.analysis.layers import Apply
from cnn_jax.config.tree import default_config
from cnn_jax.models import Classifier, make_model
from tests.support.helpers import ROOT

_LAYERS = {  # of PyTorch: here
    "plain": {"conv1": "block1/conv1", "conv2": "block2/conv1", "hidden": "head/hidden1", "logits": "head/logits"},
    "residual": {"stem": "stem/conv", "stem_norm": "stem/norm", "logits": "head/logits"}
    | {
        f"block{i}.{kind}{j}": f"stage{i}/block1/conv{j}/{kind}"
        for i in (1, 2)
        for j in (1, 2)
        for kind in ("conv", "norm")
    },
}
_NAMES = {
    "weight": ("params", "kernel"),
    "bias": ("params", "bias"),
    "running_mean": ("batch_stats", "mean"),
    "running_var": ("batch_stats", "var"),
}


def recorded(name: str) -> dict[str, np.ndarray]:
    """What was recorded of a network: "images" in 0..1, "logits", "targets", maps by method."""
    with np.load(ROOT / "tests/fixtures/attribution.npz", allow_pickle=False) as stored:
        found = {key.removeprefix(f"{name}/"): stored[key] for key in stored if key.startswith(f"{name}/")}
        return found | {"targets": stored["targets"]}


def network(name: str, arrays: dict[str, np.ndarray]) -> tuple[Apply, dict[str, Any]]:
    """(apply, variables) of what was recorded."""
    model = _make(name)
    variables: dict[str, Any] = {"params": {}, "batch_stats": {}}
    for key, value in arrays.items():
        if key.startswith("weights/"):
            module, leaf = key.removeprefix("weights/").rsplit(".", 1)
            kind, own = _NAMES[leaf]
            if value.ndim > 1:
                value = value.transpose(2, 3, 1, 0) if value.ndim == 4 else value.T
            elif leaf == "weight":
                own = "scale"
            place = variables[kind]
            for part in _LAYERS[name][module].split("/"):
                place = place.setdefault(part, {})
            place[own] = jnp.asarray(value)
    return lambda variables, pixels: model.apply(variables, pixels / 255.0, train=False), variables


def _make(name: str) -> Classifier:
    config = default_config(model={"plain": "cnn", "residual": "resnet20"}[name]).model
    if name == "plain":
        config.update({"filters": (6, 8), "norm": "none", "hidden": (10,)})
        return make_model(config, 4, in_order=True)
    return make_model(config, 4, in_order=True).clone(blocks=1, widths=(6, 8))  # type: ignore[call-arg]
