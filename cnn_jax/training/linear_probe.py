"""A linear probe: the best last layer for features that stay as they are, by logistic regression (Alain & Bengio 2016).

Fine-tuning that starts from it distorts good features less than from a random last layer (Kumar et al. 2022,
"Fine-tuning can distort pretrained features and underperform out-of-distribution").
"""

import dataclasses
import warnings
from collections.abc import Sequence

import numpy as np

# C of scikit-learn's logistic regression, for features of mean 0 and variance 1.
_STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
_ITERATIONS, _TOLERANCE = 200, 1e-3
_HELD_OUT = 0.2
_NEVER = 10.0  # a logit lower by so much
_LEAST_DEVIATION = 0.1  # of the mean one: what is nearly constant here may not be so in training


@dataclasses.dataclass(frozen=True)
class LinearProbe:
    """A last layer: logits = features @ kernel + bias.

    Attributes:
      kernel, bias: float32 [D, K] and [K].
      strength: C, the inverse of the penalty on standardised features, that did best on examples held out.
    """

    kernel: np.ndarray
    bias: np.ndarray
    strength: float


def fit_linear_probe(
    features: np.ndarray,
    labels: np.ndarray,
    num_classes: int,
    held_out: tuple[np.ndarray, np.ndarray] | None = None,
    class_weights: np.ndarray | None = None,
) -> LinearProbe:
    """Multinomial logistic regression with an L2 penalty, on standardised features.

    The penalty is the one with the lowest log loss on the examples held out; without any, on a fifth of those given,
    all of which are used again then.

    Args:
      features: float32 [N, D].
      labels: [N], 0..K-1; a class without examples is never predicted.
      held_out: (features, labels) to choose the penalty by.
      class_weights: [K], of the examples of each class; None: 1.
    """
    scaled, mean, deviation = _standardised(features)
    weights = np.ones(num_classes) if class_weights is None else np.asarray(class_weights, np.float64)
    if len(np.unique(labels)) < 2:
        raise ValueError("a linear probe needs examples of at least two classes")
    if held_out is None:
        fitted, judged = _divided(labels)
        others = scaled[judged], labels[judged]
    else:
        fitted, others = np.arange(len(labels)), ((held_out[0] - mean) / deviation, held_out[1])

    def loss(layer: tuple[np.ndarray, np.ndarray]) -> float:
        return _log_loss(others[0] @ layer[0] + layer[1], others[1], weights)

    layers = _fit(scaled[fitted], labels[fitted], weights, _STRENGTHS)
    best = min(range(len(layers)), key=lambda i: loss(layers[i]))
    kernel, bias = layers[best] if held_out is not None else _fit(scaled, labels, weights, _STRENGTHS[: best + 1])[-1]
    kernel = kernel / deviation[:, None]
    return LinearProbe(kernel.astype(np.float32), (bias - mean @ kernel).astype(np.float32), _STRENGTHS[best])


def _standardised(features: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    mean = features.mean(axis=0, dtype=np.float64).astype(np.float32)
    deviation = features.std(axis=0, dtype=np.float64)
    least = max(_LEAST_DEVIATION * deviation.mean(), np.finfo(np.float32).tiny)
    deviation = np.maximum(deviation, least).astype(np.float32)
    return (features - mean) / deviation, mean, deviation


def _divided(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(rows to fit, rows to judge): about a fifth of each class is judged, and one example of each is fitted."""
    order = np.random.RandomState(0).permutation(len(labels))
    position = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        own = order[labels[order] == label]
        position[own] = np.arange(len(own))
    is_judged = position % round(1 / _HELD_OUT) == round(1 / _HELD_OUT) - 1
    if not is_judged.any():  # every class has fewer than five examples
        is_judged = position == 1
    if not is_judged.any():  # or a single one: the penalty is chosen by what is fitted
        return np.arange(len(labels)), np.arange(len(labels))
    return np.flatnonzero(~is_judged), np.flatnonzero(is_judged)


def _fit(
    features: np.ndarray, labels: np.ndarray, weights: np.ndarray, strengths: Sequence[float]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """(kernel [D, K], bias [K]) for all K classes, by each of the rising strengths; each begins at the one before."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    present = np.unique(labels)
    model = LogisticRegression(
        max_iter=_ITERATIONS, tol=_TOLERANCE, warm_start=True, class_weight={c: float(weights[c]) for c in present}
    )
    layers = []
    for strength in strengths:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # nearly the best is as good here
            model.set_params(C=strength).fit(features, labels)
        layers.append(_of_all_classes(model.coef_, model.intercept_, present, len(weights)))
    return layers


def _of_all_classes(
    coefficients: np.ndarray, intercepts: np.ndarray, present: np.ndarray, num_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """(kernel [D, K], bias [K]) from scikit-learn's [classes with examples, D] and [classes with examples]."""
    if len(present) == 2:  # one row, for the second class against the first
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
        intercepts = np.concatenate([-intercepts, intercepts]) / 2
    kernel = np.zeros((coefficients.shape[1], num_classes))
    bias = np.full(num_classes, intercepts.min() - _NEVER)
    kernel[:, present], bias[present] = coefficients.T, intercepts
    return kernel, bias


def _log_loss(logits: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> float:
    logits = logits - logits.max(axis=1, keepdims=True)
    losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(labels)), labels]
    return float(np.average(losses, weights=weights[labels]))
