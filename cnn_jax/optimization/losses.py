"""What training minimises, per example."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.config.rules import did_you_mean
from cnn_jax.errors import InputError

_NAMED_AT_MOST = 20


def cross_entropy(
    logits: jax.Array, labels: jax.Array, label_smoothing: float = 0.0, class_weights: jax.Array | None = None
) -> jax.Array:
    """Categorical cross-entropy, -sum_k w_k y_k log softmax(logits)_k, per example [B], in at least float32.

    Args:
      logits: [B, K].
      labels: integers [B], or probabilities [B, K].
      label_smoothing: this share of the label is spread over all K classes, the right one included
        (Szegedy et al. 2016, section 7, and PyTorch).
      class_weights: w [K], as in PyTorch (whose mean then divides by the weights; ours divides by the examples).
    """
    dtype = jnp.promote_types(logits.dtype, jnp.float32)
    log_probabilities = jax.nn.log_softmax(logits.astype(dtype))
    num_classes = logits.shape[-1]
    if class_weights is not None:
        log_probabilities = log_probabilities * class_weights.reshape(1, num_classes)
    if labels.ndim == logits.ndim:
        targets = labels.astype(dtype) * (1.0 - label_smoothing) + label_smoothing / num_classes
        return -(targets * log_probabilities).sum(axis=-1)
    right = jnp.take_along_axis(log_probabilities, labels[:, None], axis=-1)[:, 0]
    return -(1.0 - label_smoothing) * right - label_smoothing * log_probabilities.mean(axis=-1)


def make_class_weights(
    wanted: str | Sequence[tuple[str, float]], labels: np.ndarray, class_names: Sequence[str]
) -> np.ndarray | None:
    """float32 [K] for a config's `class_weights`, None for "none"; a class that is not named weighs 1.

    Args:
      wanted: "none", "balanced", or (class name, weight) pairs.
      labels: of the training examples.

    Raises:
      InputError: there is no such class, or all weigh 0.
    """
    if isinstance(wanted, str):
        return balanced_weights(labels, len(class_names)) if wanted == "balanced" else None
    weights = np.ones(len(class_names), np.float32)
    for name, weight in wanted:
        if name not in class_names:
            there = ", ".join(class_names[:_NAMED_AT_MOST]) + (", ..." if len(class_names) > _NAMED_AT_MOST else "")
            hint = did_you_mean(name, class_names)
            raise InputError(f"config.loss.class_weights: there is no class {name!r}{hint}; there are {there}")
        weights[class_names.index(name)] = weight
    if not weights.any():
        raise InputError("config.loss.class_weights: every class weighs 0; one must weigh more")
    return weights


def balanced_weights(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """N / (K n_k) for each class k with n_k of the N labels (K: classes that occur); 0 for one without any."""
    counts = np.bincount(labels, minlength=num_classes)
    there = counts > 0
    return np.where(there, len(labels) / (there.sum() * np.maximum(counts, 1)), 0.0).astype(np.float32)
