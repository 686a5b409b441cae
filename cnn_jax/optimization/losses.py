"""What training minimises, per example."""

import jax
import jax.numpy as jnp
import numpy as np


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


def balanced_weights(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """N / (K n_k) for each class k with n_k of the N labels (K: classes that occur); 0 for one without any."""
    counts = np.bincount(labels, minlength=num_classes)
    there = counts > 0
    return np.where(there, len(labels) / (there.sum() * np.maximum(counts, 1)), 0.0).astype(np.float32)
