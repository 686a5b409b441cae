"""Feature vectors on a plane, and how far the plane can be believed."""

import dataclasses
from typing import NamedTuple

import numpy as np

NEIGHBORS = 10
# As van der Maaten & Hinton (2008) recommend 5 to 50; a third of the points at most.
_PERPLEXITY = 30.0


class Plane(NamedTuple):
    """Points [N, 2]; `explained` is the share of the variance along each axis (PCA); `perplexity` is t-SNE's."""

    points: np.ndarray
    explained: tuple[float, float] | None = None
    perplexity: float | None = None


@dataclasses.dataclass(frozen=True)
class Quality:
    """Of a plane, with k neighbours.

    Attributes:
      trustworthiness, continuity: 1 where all neighbours in the plane are neighbours in the full space, and the other
        way round (Venna & Kaski 2006, eq. 1 and 2).
      knn_correct, knn_correct_full: how many points the majority of their neighbours gives the right class, each point
        left out; in the plane and in the full space.
    """

    k: int
    trustworthiness: float
    continuity: float
    knn_correct: int
    knn_correct_full: int


def pca(features: np.ndarray) -> Plane:
    """The two first principal components of [N, D], exact: of the singular value decomposition, with fixed signs.

    Of fewer than two dimensions the second coordinate is 0, as is the share of what does not vary.
    """
    from sklearn.decomposition import PCA

    count = min(2, *features.shape)
    fitted = PCA(count, svd_solver="full")
    with np.errstate(invalid="ignore"):  # of points that are all the same
        points = fitted.fit_transform(features.astype(np.float64))
    padded = np.zeros((len(points), 2))
    padded[:, :count] = points
    shares = [*np.nan_to_num(fitted.explained_variance_ratio_), 0.0]
    return Plane(padded, (float(shares[0]), float(shares[1])))


def tsne(features: np.ndarray, seed: int) -> Plane:
    """t-SNE of [N, D] (van der Maaten & Hinton 2008), begun with PCA; the same for the same seed."""
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    perplexity = min(_PERPLEXITY, (len(features) - 1) / 3)
    varied = float(features.var()) > 0  # PCA of equal points would divide by zero
    made = TSNE(2, perplexity=perplexity, init="pca" if varied else "random", random_state=seed, n_jobs=1)
    with threadpool_limits(1):
        return Plane(made.fit_transform(features.astype(np.float32)).astype(np.float64), perplexity=perplexity)


def quality(features: np.ndarray, points: np.ndarray, labels: np.ndarray, k: int = NEIGHBORS) -> Quality:
    """How a plane [N, 2] keeps the neighbours of [N, D]; k at most what N points allow, N at least 4."""
    from sklearn.manifold import trustworthiness

    k = max(1, min(k, (len(points) - 1) // 2))
    features, points = features.astype(np.float64), points.astype(np.float64)
    return Quality(
        k,
        float(trustworthiness(features, points, n_neighbors=k)),
        float(trustworthiness(points, features, n_neighbors=k)),
        int((knn_votes(points, labels, k) == labels).sum()),
        int((knn_votes(features, labels, k) == labels).sum()),
    )


def knn_votes(points: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    """The class that most of a point's k nearest other points have, [N]; of several the one with the nearest point."""
    from sklearn.neighbors import NearestNeighbors

    around = labels[NearestNeighbors(n_neighbors=k).fit(points).kneighbors(return_distance=False)]
    votes = (around[:, :, None] == around[:, None, :]).sum(axis=2)
    return around[np.arange(len(points)), votes.argmax(axis=1)]
