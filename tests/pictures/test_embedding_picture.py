"""Where thumbnails go on a plane."""

import numpy as np

from cnn_jax.pictures.embedding import mixed_order, place_squares, shorten


def test_thumbnails_do_not_overlap() -> None:
    points = np.random.RandomState(0).rand(300, 2)
    order = np.random.RandomState(1).permutation(300)
    taken = place_squares(points, order, 0.1)
    apart = np.abs(points[taken][:, None] - points[taken][None]).max(axis=2)
    assert apart[~np.eye(len(taken), dtype=bool)].min() >= 0.1
    assert taken[0] == order[0]
    # There is no room for one more.
    left = np.setdiff1d(np.arange(300), taken)
    assert (np.abs(points[left][:, None] - points[taken][None]).max(axis=2).min(axis=1) < 0.1).all()


def test_wrong_ones_come_by_turns() -> None:
    wrong = np.zeros(10, bool)
    wrong[[4, 7]] = True
    order = mixed_order(wrong, 0)
    assert sorted(order) == list(range(10))
    assert wrong[order].tolist() == [True, False, True] + 7 * [False]
    assert sorted(mixed_order(np.ones(4, bool), 0)) == [0, 1, 2, 3]


def test_long_names_are_cut() -> None:
    assert shorten("a name of a class", 10) == "a name ..."
    assert shorten("folder/image_0001.jpg", 15, end=True) == "...age_0001.jpg"
