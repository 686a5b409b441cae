"""What training minimises, per example."""

import jax
import jax.numpy as jnp


def cross_entropy(logits: jax.Array, labels: jax.Array, label_smoothing: float = 0.0) -> jax.Array:
    """Categorical cross-entropy, -sum_k y_k log softmax(logits)_k, per example [B], float32.

    Args:
      logits: [B, K].
      labels: integers [B], or probabilities [B, K].
      label_smoothing: this share of the label is spread over all K classes, the right one included
        (Szegedy et al. 2016, section 7, and PyTorch).
    """
    log_probabilities = jax.nn.log_softmax(logits.astype(jnp.float32))
    num_classes = logits.shape[-1]
    if labels.ndim == logits.ndim:
        targets = labels * (1.0 - label_smoothing) + label_smoothing / num_classes
        return -(targets * log_probabilities).sum(axis=-1)
    right = jnp.take_along_axis(log_probabilities, labels[:, None], axis=-1)[:, 0]
    return -(1.0 - label_smoothing) * right - label_smoothing * log_probabilities.mean(axis=-1)


LOSSES = {"cross_entropy": cross_entropy}
