"""Labels, outliers and hard classes of a set: by cross-validation, by a trained run, or by both."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import ml_collections
import numpy as np

from cnn_jax.audit.findings import Finding
from cnn_jax.audit.labels import Judged, features_of, judge_by_folds, judge_by_model
from cnn_jax.audit.model import ask_model, usable_rows, was_trained_on
from cnn_jax.audit.out_of_fold import number_groups
from cnn_jax.audit.quality import Entry
from cnn_jax.audit.suspects import class_difficulty, embedding_outliers
from cnn_jax.data import Source
from cnn_jax.inference.run import Run


@dataclasses.dataclass(frozen=True)
class Opinion:
    """What models say: findings, and what they add to `audit.json`."""

    findings: tuple[Finding, ...] = ()
    report: dict[str, Any] = dataclasses.field(default_factory=dict)


def judge(
    source: Source,
    entries: Sequence[Entry],
    found: Sequence[Finding],
    config: ml_collections.ConfigDict,
    run: Run | None,
    folds: int,
) -> Opinion:
    """Models' opinions of the pictures that can be read and have a label.

    Args:
      source, entries: the data.
      found: findings so far; copies of one picture are taken from them.
      config: whose data these are.
      run: a trained model, for outliers and the difficulty of each class, and for labels where there are no folds.
      folds: of the cross-validation that judges labels; 0: none.

    Raises:
      InputError: there are too few pictures for folds.
    """
    rows = usable_rows(entries, len(source.class_names))
    if not len(rows) or (run is None and not folds):
        return Opinion()
    judged = Judged(rows, np.array([entries[row].label for row in rows]), source.class_names)
    groups = _groups(source, entries, found)[rows]
    findings: list[Finding] = []
    report: dict[str, Any] = {}
    embedded = np.zeros((len(rows), 0), np.float32)
    if run is not None:
        probabilities, embedded = ask_model(run, source, entries, rows)
        trained_on = was_trained_on(run, source, config)
        seen = np.array([trained_on(entries[row]) for row in rows])
        seen = np.isin(groups, groups[seen])  # who saw a copy saw the picture
        findings.append(embedding_outliers(embedded, judged.labels, rows))
        report["difficulty"] = class_difficulty(probabilities, judged.labels, source.class_names)
        if seen.any():
            embedded = embedded[:, :0]  # the labels shaped these features
        if not folds:
            verdict = judge_by_model(judged, probabilities, seen)
    if folds:
        features = features_of(source, entries, rows)
        if embedded.shape[1]:
            features = np.concatenate([features, _of_like_spread(embedded, features)], axis=1)
        verdict = judge_by_folds(judged, features, groups, folds)
    return Opinion((*findings, *verdict.findings), report | {"labels": verdict.figures})


def _groups(source: Source, entries: Sequence[Entry], found: Sequence[Finding]) -> np.ndarray:
    """int64 [rows]: copies, and what `data.group` holds together, have one number."""
    together: dict[tuple[str, int], list[int]] = {}
    for finding in found:
        for suspect in finding.suspects:
            if suspect.group is not None:
                together.setdefault((finding.kind, suspect.group), []).append(suspect.row)
    if source.groups is not None:
        for row, entry in enumerate(entries):
            together.setdefault(("data.group", int(source.groups[entry.split][entry.index])), []).append(row)
    return number_groups(len(entries), together.values())


def _of_like_spread(embedded: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Centred, with the total variance of the other features."""
    centred = embedded - embedded.mean(axis=0, keepdims=True)
    scale = np.sqrt(features.var(axis=0).sum() / max(float(centred.var(axis=0).sum()), 1e-12))
    return (centred * scale).astype(np.float32)
