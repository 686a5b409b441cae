"""Confident learning (Northcutt, Jiang & Chuang 2021, "Confident Learning: Estimating Uncertainty in Dataset Labels").

All of it takes `probabilities` [N, K] of models that did not see the pictures they judge, and `labels` [N].
"""

import numpy as np


def self_confidence(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The probability of each picture's own label, [N]; the paper's ranking of suspects is its ascending order."""
    own: np.ndarray = probabilities[np.arange(len(labels)), labels]
    return own


def thresholds(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Equation 2: t[j] is the mean probability of class j among what is labelled j, [K]; infinite without any."""
    classes = probabilities.shape[1]
    counts = np.bincount(labels, minlength=classes)
    sums = np.bincount(labels, self_confidence(probabilities, labels), classes)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)


def confident_joint(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Equation 1: int64 [K, K], how many are labelled i (rows) and counted for class j (columns).

    A picture counts for the likeliest of the classes whose threshold it reaches; where it reaches none, for no class.
    """
    classes = probabilities.shape[1]
    reached = np.where(probabilities >= thresholds(probabilities, labels), probabilities, -1.0)
    counted = np.flatnonzero(reached.max(axis=1) >= 0)
    cells = labels[counted] * classes + reached[counted].argmax(axis=1)
    return np.bincount(cells, minlength=classes**2).reshape(classes, classes)


def joint(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Equation 3: the estimated joint distribution of labels (rows) and true classes (columns), [K, K], sum 1.

    The rows of the confident joint are scaled to the numbers of labels; one that counts nothing is taken as right.
    """
    classes = probabilities.shape[1]
    confident = confident_joint(probabilities, labels).astype(np.float64)
    rows = confident.sum(axis=1, keepdims=True)
    confident = np.where(rows > 0, confident, np.eye(classes))
    counts = np.bincount(labels, minlength=classes).reshape(-1, 1)
    return confident / np.maximum(rows, 1) * counts / max(len(labels), 1)


def prune_by_noise_rate(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Section 3.2, method 4: bool [N], what is suspect.

    For each pair of classes i != j, N x joint[i, j] of what is labelled i: those with the largest margin of j over i.
    What the models would label as it is labelled is no suspect.
    """
    classes = probabilities.shape[1]
    expected = np.rint(joint(probabilities, labels) * len(labels)).astype(np.int64)
    suspect = np.zeros(len(labels), bool)
    for i in range(classes):
        of_class = np.flatnonzero(labels == i)
        margins = probabilities[of_class] - probabilities[of_class, i].reshape(-1, 1)
        for j in np.flatnonzero(expected[i]):
            if i != j:
                suspect[of_class[np.argsort(-margins[:, j], kind="stable")[: expected[i, j]]]] = True
    return suspect & (probabilities.argmax(axis=1) != labels)
