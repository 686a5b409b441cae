"""Two examples in one: images and labels are mixed in the same proportion.

Each example is mixed with the next one of its batch, so the partner (alone of all that augmentation does) depends on
how the batch is composed; the proportion is drawn from the example's own key.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from cnn_jax.data.augment.draws import fold, following, per_image, uniform
from cnn_jax.data.augment.erase import inside

Following = Callable[[jax.Array], jax.Array]


def mixup(
    images: jax.Array, labels: jax.Array, keys: jax.Array, alpha: float, following: Following = following
) -> tuple[jax.Array, jax.Array]:
    """lam * own + (1 - lam) * partner, with lam from Beta(alpha, alpha) (Zhang et al. 2018, equation 1).

    Args:
      images: [B, H, W, C].
      labels: probabilities [B, K].
      keys: [B].
      alpha: 0 mixes nothing.
      following: the next row of the batch, for each of its rows.

    Returns:
      float32 images and labels of the same shapes.
    """
    share = _own_share(keys, alpha)
    own, partner = images.astype(jnp.float32), following(images).astype(jnp.float32)
    return per_image(share) * own + (1 - per_image(share)) * partner, _mix_labels(labels, following(labels), share)


def cutmix(
    images: jax.Array, labels: jax.Array, keys: jax.Array, alpha: float, following: Following = following
) -> tuple[jax.Array, jax.Array]:
    """A box of the partner instead of one's own (Yun et al. 2019, section 3); arguments as of `mixup`.

    The box has the share 1 - lam of the area, lam from Beta(alpha, alpha), about an evenly drawn centre. Where it ends
    at the border, the label follows what can be seen of it. The images keep their type.
    """
    height, width = images.shape[1:3]
    sides = jnp.sqrt(1 - _own_share(keys, alpha))
    centre = uniform(fold(keys, 1), shape=(2,))
    top, bottom = _span(centre[:, 0], sides, height)
    left, right = _span(centre[:, 1], sides, width)
    mixed = jnp.where(inside(images.shape, top, left, bottom - top, right - left), following(images), images)
    return mixed, _mix_labels(labels, following(labels), 1 - (bottom - top) * (right - left) / (height * width))


def _own_share(keys: jax.Array, alpha: float) -> jax.Array:
    if alpha == 0:
        return jnp.ones(keys.shape[0])
    return jax.vmap(lambda key: jax.random.beta(key, alpha, alpha))(fold(keys, 0))


def _span(centre: jax.Array, side: jax.Array, size: int) -> tuple[jax.Array, jax.Array]:
    """First and last + 1 pixel along one axis, whole and within the image."""
    half = jnp.floor(side * size) / 2
    middle = centre * size
    return jnp.clip(jnp.round(middle - half), 0, size), jnp.clip(jnp.round(middle + half), 0, size)


def _mix_labels(labels: jax.Array, partner: jax.Array, share: jax.Array) -> jax.Array:
    return share[:, None] * labels + (1 - share[:, None]) * partner
