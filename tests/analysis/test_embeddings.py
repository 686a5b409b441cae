"""Planes of feature vectors, how good they are, and nearest neighbours."""

import numpy as np
import pytest

from cnn_jax.analysis.embeddings import knn_votes, pca, quality, tsne
from cnn_jax.analysis.neighbors import nearest


def cloud(count: int = 60, dimensions: int = 7) -> np.ndarray:
    random = np.random.RandomState(0)
    return random.normal(size=(count, dimensions)) * np.arange(1, dimensions + 1)


def test_pca_is_the_svd() -> None:
    points = cloud()
    plane = pca(points)
    centred = points - points.mean(axis=0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(np.abs(plane.points), np.abs(u[:, :2] * s[:2]), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(plane.explained, (s**2 / (s**2).sum())[:2], rtol=1e-9)


@pytest.mark.parametrize("features", [np.ones((6, 3)), np.arange(6.0).reshape(6, 1)])
def test_pca_of_fewer_dimensions(features: np.ndarray) -> None:
    """Equal points have no variance to explain; a line has one direction."""
    plane = pca(features)
    assert plane.points.shape == (6, 2)
    assert np.isfinite(plane.points).all()
    assert plane.explained == ((0.0, 0.0) if features.std() == 0 else (1.0, 0.0))


def test_tsne_is_the_same_for_a_seed() -> None:
    points = cloud(16)
    first = tsne(points, 3)
    np.testing.assert_array_equal(first.points, tsne(points, 3).points)
    assert first.perplexity == 5
    equal = [tsne(np.ones((5, 3)), 0).points for _ in range(2)]  # which PCA cannot tell apart: begun at random
    assert np.isfinite(equal[0]).all()
    np.testing.assert_array_equal(*equal)


def rank_penalty(of: np.ndarray, by: np.ndarray, k: int) -> float:
    """Venna & Kaski (2006), eq. 1: neighbours by `by` that are none by `of`, each with its rank in `of` beyond k."""
    count, total = len(of), 0.0
    for i in range(count):
        others = np.delete(np.arange(count), i)
        ranked = [others[np.argsort(np.linalg.norm(space[others] - space[i], axis=1))] for space in (of, by)]
        total += sum(list(ranked[0]).index(j) + 1 - k for j in set(ranked[1][:k]) - set(ranked[0][:k]))
    return 1 - 2 / (count * k * (2 * count - 3 * k - 1)) * total


def test_quality_by_its_formula() -> None:
    features = cloud()
    points = features[:, :2] + np.random.RandomState(1).normal(size=(60, 2))
    found = quality(features, points, np.zeros(60, int))
    assert found.k == 10
    assert found.trustworthiness == pytest.approx(rank_penalty(features, points, 10))
    assert found.continuity == pytest.approx(rank_penalty(points, features, 10))
    assert abs(found.trustworthiness - found.continuity) > 0.01
    same = quality(points, points, np.zeros(60, int))
    assert (same.trustworthiness, same.continuity, same.knn_correct) == (1, 1, 60)


def test_knn_leaves_the_point_out() -> None:
    """Each asks its three nearest others; of equal votes the nearest point decides."""
    points = np.array([[0.0], [1.0], [2.1], [3.3], [10.0]])
    labels = np.array([0, 1, 1, 0, 2])
    assert knn_votes(points, labels, 3).tolist() == [1, 0, 0, 1, 1]
    assert knn_votes(points, labels, 2).tolist() == [1, 0, 1, 1, 0]


@pytest.mark.parametrize("count", [4, 5, 12])
def test_few_points_have_fewer_neighbours(count: int) -> None:
    found = quality(cloud(count), cloud(count)[:, :2], np.arange(count))
    assert found.k == {4: 1, 5: 2, 12: 5}[count]
    assert 0 <= found.trustworthiness <= 1
    assert found.knn_correct == 0  # one point of each class


def test_nearest_of_parts_are_those_of_all() -> None:
    vectors, queries = cloud(50), cloud(3) + 0.1
    numbers, distances = nearest(queries, [vectors[:20], vectors[20:21], vectors[21:]], 4)
    away = np.linalg.norm(vectors[None] - queries[:, None], axis=2)
    np.testing.assert_array_equal(numbers, np.argsort(away, axis=1)[:, :4])
    np.testing.assert_allclose(distances, np.sort(away, axis=1)[:, :4])


def test_near_copies_keep_their_distance() -> None:
    """Of long vectors that differ in the eighth digit."""
    vectors = np.full((2, 1000), 1000.0)
    vectors[1, 0] += 1e-4
    numbers, distances = nearest(vectors[:1], [vectors], 2)
    assert numbers.tolist() == [[0, 1]]
    np.testing.assert_allclose(distances[0], [0, 1e-4], rtol=1e-6)
