"""Training that starts from a linear probe, and training that is nothing else."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from cnn_jax.errors import InputError
from cnn_jax.experiment.fitting import build, fit
from cnn_jax.inference.run import Run, load_run
from cnn_jax.tracking.local import read_rows
from tests.support.helpers import read_json, tiny_config


def probed(trained: Path, **changes: Any) -> Any:
    return tiny_config(init_from=str(trained), head_init="linear_probe", seed=5, **changes)


@pytest.fixture(scope="module")
def probe(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    workdir = tmp_path_factory.mktemp("probe") / "run"
    fit(probed(trained, num_epochs=0), workdir)
    return workdir


def test_it_starts_with_the_best_last_layer(trained: Path, probe: Path) -> None:
    """The backbone stays to the bit; the head does what scikit-learn's does on the same features."""
    before, after = load_run(trained), load_run(probe)
    backbones = [{k: v for k, v in run.variables["params"].items() if k != "head"} for run in (before, after)]
    assert all(np.array_equal(a, b) for a, b in zip(*map(jax.tree.leaves, backbones), strict=True))
    splits = build(probed(trained)).splits
    assert splits.validation is not None
    train, held_out = before.embed(splits.train), before.embed(splits.validation)
    theirs = LogisticRegression(C=0.1, max_iter=1000).fit(train, splits.train.labels).score(
        held_out, splits.validation.labels
    )  # fmt: skip
    summary = read_json(probe / "summary.json")
    assert summary["validation_accuracy"] == pytest.approx(theirs, abs=0.03)
    assert (summary["epochs"], summary["steps"], summary["best_epoch"]) == (0, 0, 0)
    assert summary["test_accuracy"] > read_json(trained / "summary.json")["test_accuracy"]


def test_epoch_0_is_a_row_and_may_be_the_best(trained: Path, probe: Path, tmp_path: Path) -> None:
    """A rate that spoils everything leaves the probe as the result of the run."""
    summary = fit(probed(trained, num_epochs=1, **{"optimizer.learning_rate": 3.0}), tmp_path / "run")
    rows = read_rows(tmp_path / "run" / "metrics.jsonl")
    assert [(row["epoch"], row["split"]) for row in rows[:3]] == [(0, "validation"), (1, "train"), (1, "validation")]
    assert rows[0]["accuracy"] == read_json(probe / "summary.json")["validation_accuracy"]
    assert summary["best_epoch"] == 0
    assert summary["test_accuracy"] == read_json(probe / "summary.json")["test_accuracy"]


def test_features_are_computed_once(
    trained: Path, probe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And again for other weights."""

    def fail(*_: Any) -> Any:
        raise AssertionError("features were computed again")

    other = tmp_path / "other"
    fit(tiny_config(num_epochs=1, seed=9), other)
    monkeypatch.setattr(Run, "logits", fail)
    fit(probed(trained, num_epochs=0), tmp_path / "again")
    with pytest.raises(AssertionError, match="again"):
        fit(probed(other, num_epochs=0), tmp_path / "with_others")


def test_without_validation_data_it_is_the_result(trained: Path, tmp_path: Path) -> None:
    changes = {"data.validation": 0}
    summary = fit(probed(trained, num_epochs=0, **changes), tmp_path / "run")
    assert summary["test_accuracy"] > 0.9
    assert "validation_accuracy" not in summary
    assert load_run(tmp_path / "run").predict(np.zeros((1, 8, 8, 1), np.uint8)).names


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"init_from": None}, "it needs a trained backbone; set init_from"),
        ({"model.name": "speednet"}, "'speednet' has no last layer 'head/logits' with a bias"),
    ],
)
def test_what_cannot_be_probed(trained: Path, tmp_path: Path, changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        fit(probed(trained) if not changes else tiny_config(
            **{"init_from": str(trained), "head_init": "linear_probe", **changes}
        ), tmp_path / "run")  # fmt: skip
    assert not (tmp_path / "run").exists()
