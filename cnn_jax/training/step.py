"""The pure steps: state in, state out. Compilation, devices and loops are elsewhere."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import lax

from cnn_jax.random.keys import stream_key
from cnn_jax.training.loss_scale import update_loss_scale
from cnn_jax.training.metrics import batch_sums, evaluation_sums
from cnn_jax.training.state import TrainState, update_ema

Batch = Mapping[str, jax.Array]
Sums = dict[str, jax.Array]
Loss = Callable[[jax.Array, jax.Array], jax.Array]
Preprocess = Callable[[Batch, jax.Array, jax.Array], tuple[jax.Array, jax.Array]]


@dataclasses.dataclass(frozen=True)
class StepOptions:
    """What a training step may do beside the plain update.

    Attributes:
      axis: of the devices, where the step is a program for each of them that sees a part of the batch.
      accumulate_steps: parts of a batch whose gradients are added before the one update.
      unroll: so many of these parts are written out, one after another, in the body of the loop over them: all of
        them, where they are no more. The program's size, and the time to compile it, do not grow beyond twice that.
      ema_decay: None takes no averages.
      skip_nonfinite: a step whose loss or gradients are not finite changes nothing but the step's number.
      average_stats: the batch statistics are each device's own, of which the mean is kept.
      hold: from parameters to the same ones, without a gradient for those that are not trained.
    """

    axis: str | None = None
    accumulate_steps: int = 1
    unroll: int = 8
    ema_decay: float | None = None
    skip_nonfinite: bool = False
    average_stats: bool = False
    hold: Callable[[Any], Any] = lambda params: params


def make_train_step(
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    loss: Loss,
    preprocess: Preprocess,
    options: StepOptions = StepOptions(),
) -> Callable[[TrainState, Batch, jax.Array], tuple[TrainState, Sums]]:
    """One update.

    Args:
      model: a classifier.
      optimizer: its updates are added to the parameters.
      loss: (logits [B, K], labels) -> [B].
      preprocess: (batch, seed, step) -> the images that the model takes and their labels, integers [B] or
        probabilities [B, K]: augmentation and normalisation.
      options: see there.

    Returns:
      (state, batch, seed) -> (state, sums over the whole batch); the batch is {image, label, index, mask}. The seed is
      an argument so that another seed needs no other program. `sums["gradient_norm"]` is the L2 norm of all gradients
      before clipping; `sums["nonfinite"]` is 1 where the loss or a gradient was not finite.
    """
    grad_fn = make_grad_fn(model, loss, options)

    def train_step(state: TrainState, batch: Batch, seed: jax.Array) -> tuple[TrainState, Sums]:
        images, labels = preprocess(batch, seed, state.step)
        key = stream_key(seed, "dropout", state.step)
        if options.axis is not None:
            key = jax.random.fold_in(key, lax.axis_index(options.axis))
        gradients, batch_stats, sums = grad_fn(state, images, labels, batch["mask"], key)
        finite = jnp.isfinite(sums["loss"]) & _all_finite(gradients)
        sums |= {"steps": jnp.float32(1), "gradient_norm": optax.tree.norm(gradients).astype(jnp.float32)}
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        new = dataclasses.replace(state, params=params, batch_stats=batch_stats, opt_state=opt_state)
        if options.ema_decay is not None:
            new = dataclasses.replace(new, ema=update_ema(state.ema, new.variables, options.ema_decay, state.step))
        if options.skip_nonfinite or state.loss_scale:
            new = jax.tree.map(lambda after, before: jnp.where(finite, after, before), new, state)
            sums = {name: jnp.where(finite, value, 0) for name, value in sums.items()}
        broken = ~finite
        if state.loss_scale:
            # Too large a scale is found out by overflowing; that is no failure as long as it can be lowered.
            broken &= state.loss_scale["scale"] <= 1
            new = dataclasses.replace(new, loss_scale=update_loss_scale(state.loss_scale, finite))
        return dataclasses.replace(new, step=state.step + 1), {**sums, "nonfinite": broken.astype(jnp.float32)}

    return train_step


def make_grad_fn(model: nn.Module, loss: Loss, options: StepOptions) -> Callable[..., tuple[Any, Any, Sums]]:
    """(state, images, labels, mask, key) -> (gradients of the mean loss, batch statistics, sums) of the whole batch."""

    def objective(
        params: Any, batch_stats: Any, part: tuple[jax.Array, ...], key: jax.Array, weight: jax.Array
    ) -> tuple[jax.Array, tuple[Sums, Any]]:
        images, labels, mask = part
        logits, updated = model.apply(
            {"params": options.hold(params), "batch_stats": batch_stats}, images, train=True,
            mutable=["batch_stats"], rngs={"dropout": key},
        )  # fmt: skip
        losses = loss(logits, labels)
        sums = batch_sums(logits, labels, mask, losses)
        return (losses * mask).sum() * weight.astype(losses.dtype), (sums, updated.get("batch_stats", {}))

    def grad_fn(
        state: TrainState, images: jax.Array, labels: jax.Array, mask: jax.Array, key: jax.Array
    ) -> tuple[Any, Any, Sums]:
        scale = state.loss_scale.get("scale", jnp.float32(1))
        weight = scale / psum_over(mask.sum(), options.axis)
        gradient = jax.grad(objective, has_aux=True)
        if options.accumulate_steps == 1:
            gradients, (sums, stats) = gradient(state.params, state.batch_stats, (images, labels, mask), key, weight)
        else:
            parts = jax.tree.map(lambda x: split_microbatches(x, options.accumulate_steps), (images, labels, mask))
            gradients, sums, stats = _accumulate(gradient, state, parts, key, weight, options)
        gradients, sums = psum_over((gradients, sums), options.axis)
        if state.loss_scale:
            gradients = jax.tree.map(lambda g: g / scale.astype(g.dtype), gradients)
        if options.average_stats and options.axis is not None:
            # The mean of changes: what no device changes stays the same to the last bit.
            change = lax.pmean(jax.tree.map(jnp.subtract, stats, state.batch_stats), options.axis)
            stats = jax.tree.map(jnp.add, state.batch_stats, change)
        return gradients, stats, sums

    return grad_fn


def split_microbatches(x: jax.Array, count: int) -> jax.Array:
    """[B, ...] -> [count, B / count, ...]; part i takes every count-th row from i on.

    So each part is spread over the devices as the batch is, and nothing moves between them.
    """
    return x.reshape(-1, count, *x.shape[1:]).swapaxes(0, 1)


def _accumulate(
    gradient: Callable[..., Any], state: TrainState, parts: Any, key: jax.Array, weight: jax.Array, options: StepOptions
) -> tuple[Any, Sums, Any]:
    """Gradients and sums added over the parts; each part's BatchNorm goes on from the statistics of the one before."""

    def add(carry: tuple[Any, Any, Any], numbered: tuple[jax.Array, Any]) -> tuple[tuple[Any, Any, Any], None]:
        gradients, sums, stats = carry
        number, part = numbered
        more, (more_sums, stats) = gradient(state.params, stats, part, jax.random.fold_in(key, number), weight)
        return (jax.tree.map(jnp.add, gradients, more), jax.tree.map(jnp.add, sums, more_sums), stats), None

    first = jax.tree.map(lambda x: x[0], parts)
    shapes, (sum_shapes, _) = jax.eval_shape(gradient, state.params, state.batch_stats, first, key, weight)
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), (shapes, sum_shapes))
    numbered = (jnp.arange(options.accumulate_steps), parts)
    unroll = min(options.unroll, options.accumulate_steps)
    (gradients, sums, stats), _ = lax.scan(add, (*zeros, state.batch_stats), numbered, unroll=unroll)
    return gradients, sums, stats


def psum_over(tree: Any, axis: str | None) -> Any:
    """The sum over the devices, inside a program for each of them; the tree itself without an axis."""
    return tree if axis is None else lax.psum(tree, axis)


def _all_finite(tree: Any) -> jax.Array:
    return jnp.array([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)]).all()


def make_eval_step(
    apply: Callable[[Any, jax.Array], jax.Array],
) -> Callable[[Any, Batch], Sums]:
    """(variables, batch) -> sums of the batch; `apply` takes variables and uint8 images and gives logits."""

    def eval_step(variables: Any, batch: Batch) -> Sums:
        return evaluation_sums(apply(variables, batch["image"]), batch["label"], batch["mask"])

    return eval_step
