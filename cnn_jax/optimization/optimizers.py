"""Optimizers by name, as Optax chains with PyTorch's meaning of weight decay.

Each takes a learning rate (a schedule) and the arguments of `config.optimizer_keys.OPTIMIZERS`. Weight decay is coupled
(added to the gradient, before momentum or scaling sees it), but for adamw, lion, lamb and muon, which decouple it. By
default it leaves biases, normalisation parameters and tables of positions alone.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from cnn_jax.config.optimizer_keys import OPTIMIZERS
from cnn_jax.models.parameter_names import frozen, is_kernel, multiplier, parameter_names
from cnn_jax.optimization.layer_decay import layer_rates
from cnn_jax.optimization.lookahead import lookahead

Mask = Callable[[Any], Any]
Schedule = Callable[[Any], Any]


def sgd(rate: Any, mask: Mask, *, momentum: float, nesterov: bool, weight_decay: float) -> optax.GradientTransformation:
    """PyTorch's SGD: g += wd * w; v = momentum * v + g; w -= rate * (g + momentum * v if nesterov else v)."""
    return _coupled(weight_decay, mask, optax.sgd(rate, None if _is_zero(momentum) else momentum, nesterov))


def adam(
    rate: Any, mask: Mask, *, b1: float, b2: float, eps: float, weight_decay: float
) -> optax.GradientTransformation:
    """Kingma & Ba 2015."""
    return _coupled(weight_decay, mask, optax.adam(rate, b1, b2, eps))


def adamw(
    rate: Any, mask: Mask, *, b1: float, b2: float, eps: float, weight_decay: float
) -> optax.GradientTransformation:
    """Loshchilov & Hutter 2019, with the decay multiplied by the learning rate as in PyTorch."""
    return optax.adamw(rate, b1, b2, eps, weight_decay=weight_decay, mask=mask)


def rmsprop(
    rate: Any, mask: Mask, *, decay: float, eps: float, momentum: float, weight_decay: float
) -> optax.GradientTransformation:
    """Hinton 2012, with PyTorch's eps outside of the root, and momentum on the scaled gradient before the rate."""
    scale = optax.scale_by_rms(decay, eps, eps_in_sqrt=False)
    trace = optax.identity() if _is_zero(momentum) else optax.trace(momentum)
    return _coupled(weight_decay, mask, optax.chain(scale, trace, optax.scale_by_learning_rate(rate)))


def adagrad(rate: Any, mask: Mask, *, eps: float, weight_decay: float) -> optax.GradientTransformation:
    """Duchi et al. 2011, with PyTorch's eps outside of the root, and a sum of squares that starts at 0.

    Inside, as in `optax.adagrad`, an eps of 1e-10 would be as large as the square of a gradient of 1e-5.
    """
    sums = optax.scale_by_rss(initial_accumulator_value=0.0)

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        _, state = sums.update(updates, state)
        scaled = jax.tree.map(lambda g, total: g / (jnp.sqrt(total) + eps), updates, state.sum_of_squares)
        return scaled, state

    scale = optax.GradientTransformation(sums.init, update)
    return _coupled(weight_decay, mask, optax.chain(scale, optax.scale_by_learning_rate(rate)))


def adadelta(rate: Any, mask: Mask, *, rho: float, eps: float, weight_decay: float) -> optax.GradientTransformation:
    """Zeiler 2012."""
    return _coupled(weight_decay, mask, optax.adadelta(rate, rho, eps))


def lion(rate: Any, mask: Mask, *, b1: float, b2: float, weight_decay: float) -> optax.GradientTransformation:
    """Chen et al. 2023."""
    return optax.lion(rate, b1, b2, weight_decay=weight_decay, mask=mask)


def lamb(
    rate: Any, mask: Mask, *, b1: float, b2: float, eps: float, weight_decay: float
) -> optax.GradientTransformation:
    """You et al. 2020."""
    return optax.lamb(rate, b1, b2, eps, weight_decay=weight_decay, mask=mask)


def lars(
    rate: Any, mask: Mask, *, momentum: float, nesterov: bool, trust_coefficient: float, weight_decay: float
) -> optax.GradientTransformation:
    """You, Gitman & Ginsburg 2017; only what is decayed is also scaled by its trust ratio."""
    return optax.lars(
        rate, weight_decay, weight_decay_mask=mask, trust_coefficient=trust_coefficient, trust_ratio_mask=mask,
        momentum=momentum, nesterov=nesterov,
    )  # fmt: skip


def muon(
    rate: Any, mask: Mask, *, momentum: float, nesterov: bool, ns_steps: int, adam_learning_rate: Any,
    weight_decay: float,
) -> optax.GradientTransformation:  # fmt: skip
    """Jordan et al. 2024: kernels' updates are orthogonalised; the last layer, biases, norms, positions get AdamW.

    Optax would leave every 4-D kernel to Adam; a convolution kernel [h, w, in, out] is orthogonalised here as the
    matrix [h * w * in, out] that it is.
    """

    def is_hidden_kernel(path: Any, leaf: jax.Array) -> bool:
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        return is_kernel(name, leaf) and "logits" not in name.split("/")

    def dimension_numbers(params: Any) -> Any:
        def of(path: Any, leaf: jax.Array) -> Any:
            axes = tuple(range(leaf.ndim - 1))
            numbers = optax.contrib.MuonDimensionNumbers(reduction_axis=axes, output_axis=(leaf.ndim - 1,))
            return numbers if is_hidden_kernel(path, leaf) else None

        return jax.tree_util.tree_map_with_path(of, params)

    def decay(rate: Any, hidden: bool) -> optax.GradientTransformation:
        def own_mask(params: Any) -> Any:
            kind = jax.tree_util.tree_map_with_path(lambda path, leaf: is_hidden_kernel(path, leaf) == hidden, params)
            return jax.tree.map(lambda decayed, own: decayed and own, mask(params), kind)

        return optax.add_decayed_weights(lambda step: -weight_decay * rate(step), own_mask)

    update = optax.contrib.muon(
        rate, ns_steps=ns_steps, beta=momentum, nesterov=nesterov, adam_learning_rate=adam_learning_rate,
        muon_weight_dimension_numbers=dimension_numbers,
    )  # fmt: skip
    # Optax's own decay here knows no mask for what Adam takes.
    return optax.chain(update, decay(rate, True), decay(adam_learning_rate, False)) if weight_decay else update


def has_momentum(optimizer: Mapping[str, Any]) -> bool:
    """Whether there is something for a schedule to cycle: momentum above 0, or else b1."""
    return optimizer.get("momentum", 0) > 0 or "b1" in optimizer


class FollowingState(NamedTuple):
    """State of an optimizer with scheduled momentum or ReduceLROnPlateau.

    Attributes:
      count: updates made so far, where the momentum cycles; else ().
      plateau: what ReduceLROnPlateau has seen, its `factor` above all; else ().
      inner: the optimizer's own state.
    """

    count: Any
    plateau: Any
    inner: Any


def make_optimizer(
    optimizer: Mapping[str, Any],
    schedule: Callable[[float], Schedule],
    freeze: str | None = None,
    momentum: Schedule | None = None,
    plateau: Any = None,
    steps: int = 0,
    layers: Sequence[str] = (),
) -> optax.GradientTransformation:
    """The Optax transformation for a config's `optimizer` block.

    Args:
      optimizer: name, learning_rate, weight_decay, decay_bias_and_norm, clip_norm, rate_multipliers, and the
        optimizer's own arguments.
      schedule: from a base learning rate to the rate as a function of the step.
      freeze: parameters in whose names this regular expression is found stay as they are; they are not decayed, no
        part of the gradient's norm, and the optimizer holds nothing for them.
      momentum: as a function of the step, in place of the optimizer's `momentum`, or else of its `b1`, as PyTorch's
        schedulers cycle it; None: it stays what it is.
      plateau: where a metric lowers the rates, the `PlateauState` to begin with: every rate is multiplied by its
        `factor`. With either of the two the state is a `FollowingState`.
      steps: of the whole training; wanted where the optimizer has `lookahead_steps`.
      layers: the names of the model's layers in the order in which they are applied; wanted for `layer_decay`.
    """
    if momentum is None and plateau is None:
        return _build(optimizer, schedule, freeze, steps, layers)

    def at(count: Any, seen: Any) -> optax.GradientTransformation:
        """The optimizer of one step. Rates themselves are scaled: LARS, say, keeps scaled updates in its momentum."""
        changes = {} if momentum is None else {"momentum" if "momentum" in optimizer else "b1": momentum(count)}
        scaled = schedule if plateau is None else lambda base: lambda step: seen.factor * schedule(base)(step)
        return _build({**optimizer, **changes}, scaled, freeze, steps, layers)

    def init(params: Any) -> FollowingState:
        count = () if momentum is None else jnp.zeros((), jnp.int32)
        begin = () if plateau is None else jax.tree.map(_at_most_32_bits, plateau)
        return FollowingState(count, begin, at(count, begin).init(params))

    def update(updates: Any, state: FollowingState, params: Any = None) -> tuple[Any, FollowingState]:
        updates, inner = at(state.count, state.plateau).update(updates, state.inner, params)
        return updates, state._replace(count=jax.tree.map(optax.safe_increment, state.count), inner=inner)

    return optax.GradientTransformation(init, update)


def _build(
    optimizer: Mapping[str, Any],
    schedule: Callable[[float], Schedule],
    freeze: str | None,
    steps: int,
    layers: Sequence[str],
) -> optax.GradientTransformation:
    arguments = dict(optimizer)
    name, base = arguments.pop("name"), arguments.pop("learning_rate")
    multipliers = arguments.pop("rate_multipliers")
    clip_norm, decay_all = arguments.pop("clip_norm"), arguments.pop("decay_bias_and_norm")
    layer_decay = arguments.pop("layer_decay")
    lookahead_steps, lookahead_decay = (arguments.pop(f"lookahead_{key}", 0) for key in ("steps", "decay"))
    if "adam_learning_rate" in arguments:
        arguments["adam_learning_rate"] = schedule(arguments["adam_learning_rate"])

    def mask(params: Any) -> Any:
        return jax.tree.map(lambda name, leaf: decay_all or is_kernel(name, leaf), parameter_names(params), params)

    transformation = OPTIMIZERS[name].load()(schedule(base), mask, **arguments)
    if clip_norm is not None:
        transformation = optax.chain(optax.clip_by_global_norm(clip_norm), transformation)
    if multipliers:
        transformation = optax.chain(transformation, _scale_by_name(partial(multiplier, multipliers=multipliers)))
    if layer_decay < 1:
        transformation = optax.chain(transformation, _scale_by_name(layer_rates(layer_decay, layers)))
    if lookahead_steps:
        transformation = lookahead(transformation, lookahead_steps, lookahead_decay, steps)
    return transformation if freeze is None else _only_trained(transformation, freeze)


def _scale_by_name(factor: Callable[[str], float]) -> optax.GradientTransformation:
    """Scales whole updates, as another learning rate does: of a decoupled weight decay, too."""

    def scale(updates: Any, _: Any) -> Any:
        return jax.tree.map(lambda update, name: update * factor(name), updates, parameter_names(updates))

    return optax.stateless(scale)


def _only_trained(transformation: optax.GradientTransformation, freeze: str) -> optax.GradientTransformation:
    def labels(params: Any) -> Any:
        return jax.tree.map(lambda still: "frozen" if still else "trained", frozen(params, freeze))

    return optax.partition({"trained": transformation, "frozen": optax.set_to_zero()}, labels)


def _coupled(weight_decay: float, mask: Mask, optimizer: optax.GradientTransformation) -> optax.GradientTransformation:
    return optax.chain(optax.add_decayed_weights(weight_decay, mask), optimizer) if weight_decay else optimizer


def _at_most_32_bits(value: Any) -> jax.Array:
    return jnp.asarray(value, jnp.float32 if jnp.issubdtype(jnp.result_type(value), jnp.floating) else jnp.int32)


def _is_zero(momentum: Any) -> bool:
    """Of a number; a momentum that cycles is an array, which a compiled step cannot look into."""
    return isinstance(momentum, int | float) and momentum == 0
