"""The pure steps: state in, state out. Compilation, devices and loops are elsewhere."""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import optax

from cnn_jax.metrics import batch_sums, evaluation_sums
from cnn_jax.random import stream_key
from cnn_jax.training.state import TrainState

Batch = Mapping[str, jax.Array]
Sums = dict[str, jax.Array]


def make_train_step(
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    loss: Callable[[jax.Array, jax.Array], jax.Array],
    preprocess: Callable[[Batch, jax.Array, jax.Array], tuple[jax.Array, jax.Array]],
) -> Callable[[TrainState, Batch, jax.Array], tuple[TrainState, Sums]]:
    """One update.

    Args:
      model: a classifier.
      optimizer: its updates are added to the parameters.
      loss: (logits [B, K], labels) -> [B].
      preprocess: (batch, seed, step) -> the images that the model takes and their labels, integers [B] or
        probabilities [B, K]: augmentation and normalisation.

    Returns:
      (state, batch, seed) -> (state, sums of the batch); the batch is {image, label, index, mask}. The seed is an
      argument so that another seed needs no other program.
    """

    def train_step(state: TrainState, batch: Batch, seed: jax.Array) -> tuple[TrainState, Sums]:
        images, labels = preprocess(batch, seed, state.step)
        dropout_key = stream_key(seed, "dropout", state.step)

        def objective(params: Any) -> tuple[jax.Array, tuple[jax.Array, jax.Array, Any]]:
            logits, updated = model.apply(
                {"params": params, "batch_stats": state.batch_stats}, images, train=True,
                mutable=["batch_stats"], rngs={"dropout": dropout_key},
            )  # fmt: skip
            losses = loss(logits, labels)
            count = batch["mask"].sum()
            return (losses * batch["mask"]).sum() / count, (logits, losses, updated)

        gradients, (logits, losses, updated) = jax.grad(objective, has_aux=True)(state.params)
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        new_state = TrainState(
            step=state.step + 1,
            params=optax.apply_updates(state.params, updates),
            batch_stats=updated.get("batch_stats", {}),
            opt_state=opt_state,
        )
        return new_state, batch_sums(logits, labels, batch["mask"], losses)

    return train_step


def make_eval_step(
    apply: Callable[[Any, jax.Array], jax.Array],
) -> Callable[[Any, Batch], Sums]:
    """(variables, batch) -> sums of the batch; `apply` takes variables and uint8 images and gives logits."""

    def eval_step(variables: Any, batch: Batch) -> Sums:
        return evaluation_sums(apply(variables, batch["image"]), batch["label"], batch["mask"])

    return eval_step
