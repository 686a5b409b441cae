"""A first layer that whitens: its filters are the principal components of small patches, each with unit variance."""

from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np

WINDOW = 2


def whitening_kernel(batches: Iterable[jax.Array], epsilon: float = 5e-4) -> np.ndarray:
    """The kernel of a convolution that gives 2x2 patches the identity as covariance, and its negation.

    Its filters are eigenvectors / sqrt(eigenvalue + epsilon) of the patches' second moments, the largest first, then
    the same times -1, so that what follows sees both signs behind a nonlinearity (Page 2019, "How to train your
    ResNet"; Jordan 2024, arXiv 2404.00498, section 3.1).

    Args:
      batches: of images, normalised: [B, H, W, C], H and W at least 2.
      epsilon: what keeps directions without variance finite.

    Returns:
      float32 [2, 2, C, 8 * C].
    """
    moments, count = np.zeros(()), 0
    for images in batches:
        moments = moments + np.asarray(_moments(images), np.float64)
        count += images.shape[0] * (images.shape[1] - WINDOW + 1) * (images.shape[2] - WINDOW + 1)
    eigenvalues, eigenvectors = np.linalg.eigh(moments / count)
    filters = (eigenvectors / np.sqrt(np.maximum(eigenvalues, 0) + epsilon))[:, ::-1]
    filters = np.concatenate([filters, -filters], axis=1).astype(np.float32)
    return filters.reshape(WINDOW, WINDOW, -1, filters.shape[1])


@jax.jit
def _moments(images: jax.Array) -> jax.Array:
    """The sum over all patches of patch x patch: [4 * C, 4 * C], a patch's values in the order of a kernel's."""
    height, width = (size - WINDOW + 1 for size in images.shape[1:3])
    parts = [images[:, i : i + height, j : j + width] for i in range(WINDOW) for j in range(WINDOW)]
    patches = jnp.concatenate(parts, axis=-1)
    return jnp.einsum("bhwi,bhwj->ij", patches, patches, precision="highest")
