"""The optimizers and losses: what builds each, and what a config's `optimizer` and `loss` blocks may hold."""

import dataclasses

from cnn_jax.config.rules import Key, class_weights, flag, integer, maybe, multipliers, number
from cnn_jax.config.tables import Variant

_learning_rate = Key(1e-3, number(above=0), "the schedule's base rate (of OneCycleLR: its peak)")
_weight_decay = Key(0.0, number(0), "L2 penalty, added to the gradient as PyTorch does")
_decoupled = dataclasses.replace(_weight_decay, why="decoupled from the gradient (Loshchilov & Hutter 2019)")
_decay_all = Key(False, flag(), "also decay biases, normalisation parameters and tables of positions")
_multipliers = Key(
    (),
    multipliers(),
    "(regular expression, factor) pairs: the first that is found in a parameter's name scales its rate",
)
_layer_decay = Key(
    1.0, number(above=0, most=1), "factor of the rate from each block to the one before it, from the head down"
)
_clip = Key(None, maybe(number(above=0)), "rescale the gradient where its global norm is larger")
_b1 = Key(0.9, number(0, below=1), "decay of the running mean of gradients")
_b2 = Key(0.999, number(0, below=1), "decay of the running mean of squared gradients")
_momentum = Key(0.9, number(0, below=1), "share of the last update that is kept")
_nesterov = Key(False, flag(), "look ahead along the momentum (Sutskever et al. 2013)")

# What every optimizer has beside its own keys; its code takes weight_decay alone of these.
SHARED: dict[str, Key] = {
    "learning_rate": _learning_rate, "weight_decay": _weight_decay, "decay_bias_and_norm": _decay_all,
    "clip_norm": _clip, "rate_multipliers": _multipliers,
    "layer_decay": _layer_decay,
}  # fmt: skip


def _optimizer(weight_decay: Key = _weight_decay, rate: float = 1e-3, **own: Key) -> dict[str, Key]:
    learning_rate = dataclasses.replace(_learning_rate, default=rate)
    return {"learning_rate": learning_rate, **own} | {
        key: weight_decay if key == "weight_decay" else entry for key, entry in SHARED.items() if key != "learning_rate"
    }


def _eps(default: float) -> Key:
    return Key(default, number(above=0), "keeps the division finite")


_OPTIMIZERS = {
    "sgd": _optimizer(
        rate=0.1, momentum=_momentum, nesterov=_nesterov,
        lookahead_steps=Key(0, integer(0), "between moves of the slow weights (Zhang et al. 2019); 0: there are none"),
        lookahead_decay=Key(
            0.95, number(0, below=1), "share of the slow weights that is kept a step, at the end; before it less"
        ),
    ),
    "adam": _optimizer(b1=_b1, b2=_b2, eps=_eps(1e-8)),
    "adamw": _optimizer(dataclasses.replace(_decoupled, default=0.01), b1=_b1, b2=_b2, eps=_eps(1e-8)),
    "rmsprop": _optimizer(
        decay=Key(0.99, number(0, below=1), "of the running mean of squared gradients (PyTorch's alpha)"),
        eps=_eps(1e-8),
        momentum=dataclasses.replace(_momentum, default=0.0),
    ),
    "adagrad": _optimizer(rate=1e-2, eps=_eps(1e-10)),
    "adadelta": _optimizer(
        rate=1.0, rho=Key(0.9, number(0, below=1), "decay of both running means (Zeiler 2012)"), eps=_eps(1e-6)
    ),
    "lion": _optimizer(
        _decoupled, rate=1e-4, b1=_b1, b2=dataclasses.replace(_b2, default=0.99)
    ),
    "lamb": _optimizer(_decoupled, b1=_b1, b2=_b2, eps=_eps(1e-6)),
    "lars": _optimizer(
        rate=1.0, momentum=_momentum, nesterov=_nesterov,
        trust_coefficient=Key(1e-3, number(above=0), "length of a layer's update per length of its weights"),
    ),
    "muon": _optimizer(
        _decoupled, rate=0.02, momentum=dataclasses.replace(_momentum, default=0.95),
        nesterov=dataclasses.replace(_nesterov, default=True),
        ns_steps=Key(5, integer(1), "Newton-Schulz iterations that orthogonalise an update"),
        adam_learning_rate=Key(
            1e-3, number(above=0), "base rate of what is not a hidden kernel: biases, normalisation, the last layer"
        ),
    ),
}  # fmt: skip

# The functions of optimization/optimizers.py have the same names.
OPTIMIZERS: dict[str, Variant] = {
    name: Variant(f"cnn_jax.optimization.optimizers:{name}", keys) for name, keys in _OPTIMIZERS.items()
}

LOSSES: dict[str, Variant] = {
    "cross_entropy": Variant("cnn_jax.optimization.losses:cross_entropy", {
        "class_weights": Key(
            "none", class_weights(),
            "balanced: classes weigh in inverse proportion to their training examples; or (class name, weight) pairs, "
            "as in (('cat', 2.0),), the others weigh 1",
        ),
        "label_smoothing": Key(0.0, number(0, below=1), "share of the label spread over all classes, in training"),
    }),
}  # fmt: skip
