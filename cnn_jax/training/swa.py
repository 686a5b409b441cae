"""Stochastic weight averaging (Izmailov et al. 2018): equal averages of weights, with statistics of their own."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from cnn_jax.models import Classifier
from cnn_jax.random.keys import stream_key
from cnn_jax.training.state import TrainState
from cnn_jax.training.step import Batch, Preprocess, StepOptions, Sums, psum_over, split_microbatches


def update_average(average: Any, newest: Any, count: jax.Array) -> Any:
    """The mean of `count` trees and one more: average + (newest - average) / (count + 1), as PyTorch's AveragedModel.

    Without any before it, it is the newest itself, to the bit.
    """
    return jax.tree.map(lambda old, new: jnp.where(count == 0, new, old + (new - old) / (count + 1)), average, newest)


def make_statistics_step(
    model: Classifier, preprocess: Preprocess, options: StepOptions, steps_per_epoch: int
) -> Callable[[TrainState, Batch, jax.Array], tuple[TrainState, Sums]]:
    """BatchNorm's statistics of given weights, taken anew: PyTorch's `update_bn`, a batch at a time.

    Averaged weights have seen no batch themselves. Over the steps of an epoch the mean of the batches' means and the
    mean of their variances are taken, each batch (each part of one, with accumulate_steps) counting equally. The
    batches are those of training: augmented, in training mode, with dropout. As in Flax the variances are the biased
    ones, of n examples; PyTorch keeps them larger by n / (n - 1).

    Returns:
      (state, batch, seed) -> (state, {"count"}), in the form of a training step: `params` stay, `batch_stats` are the
      means up to here, `step` is the next one. A statistic that is frozen stays what it is. An epoch's first step
      forgets what was before it.
    """
    # So the statistics after a step are those of its batch alone.
    model = model.clone(compute=dataclasses.replace(model.compute, norm_momentum=0.0))

    def statistics_step(state: TrainState, batch: Batch, seed: jax.Array) -> tuple[TrainState, Sums]:
        images, _ = preprocess(batch, seed, state.step)
        key = stream_key(seed, "dropout", state.step)
        if options.axis is not None:
            key = jax.random.fold_in(key, lax.axis_index(options.axis))

        def enter(stats: Any, numbered: tuple[jax.Array, jax.Array]) -> tuple[Any, None]:
            number, part = numbered
            _, updated = model.apply(
                {"params": state.params, "batch_stats": stats}, part, train=True, mutable=["batch_stats"],
                rngs={"dropout": jax.random.fold_in(key, number)},
            )  # fmt: skip
            newest = updated["batch_stats"]
            if options.average_stats and options.axis is not None:
                newest = lax.pmean(newest, options.axis)
            return update_average(stats, newest, state.step % steps_per_epoch * parts + number), None

        parts = options.accumulate_steps
        numbered = (jnp.arange(parts), split_microbatches(images, parts))
        stats, _ = lax.scan(enter, state.batch_stats, numbered, unroll=min(options.unroll, parts))
        count = psum_over(batch["mask"].sum(), options.axis)
        return dataclasses.replace(state, batch_stats=stats, step=state.step + 1), {"count": count}

    return statistics_step
