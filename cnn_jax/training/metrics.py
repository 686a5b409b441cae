"""Metrics as sums and counts, divided once at the end."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.optimization.losses import cross_entropy

Sums = Mapping[str, jax.Array]


def batch_sums(logits: jax.Array, labels: jax.Array, mask: jax.Array, losses: jax.Array) -> dict[str, jax.Array]:
    """Sums over the examples of a batch whose mask is True.

    Args:
      logits: [B, K].
      labels: integers [B], or probabilities [B, K], of which the largest is the label.
      mask: bool [B]; False for padding.
      losses: [B].

    Returns:
      {"count", "loss", "correct"} and, where K > 5, {"top5"}: float32 scalars.
    """
    hard = labels if labels.ndim == 1 else labels.argmax(axis=-1)
    sums = {
        "count": mask.sum(),
        "loss": jnp.where(mask, losses, 0.0).sum(),
        "correct": ((logits.argmax(axis=-1) == hard) & mask).sum(),
    }
    if logits.shape[-1] > 5:
        right = jnp.take_along_axis(logits, hard[:, None], axis=-1)
        # Strictly larger: a tie counts for the label. NaN compares false and would count as a hit.
        rank = (~(logits <= right)).sum(axis=-1)
        sums["top5"] = ((rank < 5) & mask).sum()
    return {name: value.astype(jnp.float32) for name, value in sums.items()}


def evaluation_sums(logits: jax.Array, labels: jax.Array, mask: jax.Array) -> dict[str, jax.Array]:
    """`batch_sums` with the plain cross-entropy, whatever training minimises, so that runs can be compared.

    Beside them {"class_count", "class_correct"}: float32 [K].
    """
    hits = (logits.argmax(axis=-1) == labels) & mask
    per_class = jnp.zeros(logits.shape[-1], jnp.float32)
    return {
        **batch_sums(logits, labels, mask, cross_entropy(logits, labels)),
        "class_count": per_class.at[labels].add(mask.astype(jnp.float32)),
        "class_correct": per_class.at[labels].add(hits.astype(jnp.float32)),
    }


def add(totals: Mapping[str, Any], sums: Sums) -> dict[str, Any]:
    """Adds a batch's sums to the totals, on the host in float64: numbers, and arrays for those by class."""
    added = {name: totals.get(name, 0.0) + np.asarray(value, np.float64) for name, value in sums.items()}
    return {name: value if value.ndim else float(value) for name, value in added.items()}


def finalize(totals: Mapping[str, Any]) -> dict[str, float]:
    """{"loss", "accuracy"} and, where it was counted, {"top5_accuracy", "balanced_accuracy", "gradient_norm"}.

    Balanced accuracy is the mean over the classes that occur of the share of their examples that was recognised
    (Brodersen et al. 2010).
    """
    names = {"loss": "loss", "correct": "accuracy", "top5": "top5_accuracy"}
    figures = {names[key]: value / totals["count"] for key, value in totals.items() if key in names}
    if "gradient_norm" in totals:  # the mean over the steps that were not left out
        figures["gradient_norm"] = totals["gradient_norm"] / totals["steps"]
    if "class_count" in totals:
        there = totals["class_count"] > 0
        figures["balanced_accuracy"] = float((totals["class_correct"][there] / totals["class_count"][there]).mean())
    return figures


def majority_share(train_labels: np.ndarray, labels: np.ndarray) -> float:
    """The accuracy on `labels` [N] of a model that always answers with the most frequent of `train_labels`."""
    return float(np.mean(labels == np.bincount(train_labels).argmax()))
