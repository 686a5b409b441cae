"""The sanity check: does a map change when what the network has learned is taken away?"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.runs.noise import spread

Attribute = Callable[[Any], np.ndarray]  # variables -> maps [B, ...]


LIMIT = 0.5  # a map that keeps more of its order than that does not depend on what was learned


class Sanity(NamedTuple):
    """Rank correlations of maps with those of a network whose weights are shuffled from the logits down.

    Attributes:
      layers: down to which the weights are shuffled, at each of S stages; at the last stage all are.
      signed: Spearman's correlation [S, B].
      absolute: that of the magnitudes [S, B]; high where a method multiplies with pixels of which many are black.
      flat: the share of maps at each stage that have one value only [S]: such a network is dead, and tells nothing.
    """

    layers: tuple[str, ...]
    signed: np.ndarray
    absolute: np.ndarray
    flat: np.ndarray

    @property
    def intervals(self) -> list[tuple[float, float]]:
        """The 95 % interval of the mean over images of `signed`, at each stage."""
        return [spread(list(stage)).interval or (-1.0, 1.0) for stage in self.signed]

    @property
    def passes(self) -> bool | None:
        """True: all intervals lie below `LIMIT`; False: one lies above it; None: neither, or most maps are flat."""
        if any(low > LIMIT for low, _ in self.intervals):
            return False
        return True if all(high < LIMIT for _, high in self.intervals) and self.flat.max() <= 0.5 else None


def check_sanity(attribute: Attribute, variables: Any, layers: Sequence[str], stages: int = 3, seed: int = 0) -> Sanity:
    """Cascading randomisation (Adebayo et al. 2018, section 4.1): what does not change explains the image alone.

    Args:
      attribute: makes the maps of some images with the variables that it is given; some 16 images suffice.
      layers: names in the order of the computation, as `list_layers` gives them.
      stages: at most; the first shuffles the logits' layer, the last all weights.
    """
    trained = attribute(variables)
    names, signed, absolute, flat = [], [], [], []
    for name, shuffled in cascade(variables, layers, stages, seed):
        maps = attribute(shuffled)
        names.append(name)
        signed.append(rank_correlation(trained, maps))
        absolute.append(rank_correlation(np.abs(trained), np.abs(maps)))
        flat.append((np.ptp(maps.reshape(len(maps), -1), axis=1) == 0).mean())
    return Sanity(tuple(names), np.array(signed), np.array(absolute), np.array(flat))


def cascade(variables: Any, layers: Sequence[str], stages: int, seed: int = 0) -> Iterator[tuple[str, Any]]:
    """(the lowest layer that is shuffled, variables), from the logits down to all, in so many stages at most.

    Each array keeps its values and loses their order, so that a layer stays as strong as it was; those of kernels lose
    their signs, too, as behind kernels with a mean below 0 every ReLU would be dead, and all maps flat. What belongs to
    no layer of the list comes last.

    The arguments are those of `check_sanity`.
    """
    paths, structure = jax.tree_util.tree_flatten_with_path(variables)
    owners = ["/".join(str(part.key) for part in path[1:-1]) for path, _ in paths]
    order = {name: place for place, name in enumerate(layers)}
    places = np.array([order.get(owner, -1) for owner in owners])
    depths = np.unique(places)[::-1]
    for depth in depths[np.unique(np.linspace(0, len(depths) - 1, stages).round().astype(int))]:
        leaves = [
            _shuffle(value, (seed, number)) if place >= depth else value
            for number, ((_, value), place) in enumerate(zip(paths, places, strict=True))
        ]
        yield owners[int(np.flatnonzero(places == depth)[0])], jax.tree_util.tree_unflatten(structure, leaves)


def _shuffle(value: jax.Array, seed: Sequence[int]) -> jax.Array:
    random, values = np.random.default_rng(seed), np.asarray(value)
    shuffled = random.permutation(values.reshape(-1)).reshape(values.shape)
    return jnp.asarray(
        shuffled * random.choice([-1, 1], values.shape).astype(values.dtype) if values.ndim > 1 else shuffled
    )


def rank_correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Spearman's correlation of each of B maps with its counterpart; 0 where one of the two is flat."""
    from scipy.stats import rankdata

    ranks = [rankdata(maps.reshape(len(maps), -1), axis=1) for maps in (first, second)]
    one, other = (each - each.mean(axis=1, keepdims=True) for each in ranks)
    scale = np.sqrt((one**2).sum(axis=1) * (other**2).sum(axis=1))
    return np.divide((one * other).sum(axis=1), scale, out=np.zeros(len(one)), where=scale > 0)
