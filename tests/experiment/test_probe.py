"""Training that starts from a linear probe, and training that is nothing else."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from cnn_jax.data.splits import Examples
from cnn_jax.errors import InputError
from cnn_jax.experiment import probe as probing
from cnn_jax.experiment.fitting import Experiment, build, fit, initial_state
from cnn_jax.experiment.warm_start import WarmStart
from cnn_jax.inference.run import Run, load_run
from cnn_jax.tracking.local import read_rows
from cnn_jax.training.linear_probe import LinearProbe
from tests.support.helpers import read_json, refusal, tiny_config


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


def backbone_of(trained: Path) -> WarmStart:
    """As it is taken for other classes."""
    variables = load_run(trained).variables
    params = {name: part for name, part in variables["params"].items() if name != "head"}
    return WarmStart({**variables, "params": params}, ())


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What `with_probe` asks for, without computing it: keys of features, weights of classes."""
    asked: dict[str, Any] = {}

    def features(run: Run, split: Any, key: str) -> np.ndarray:
        asked[key.partition("-")[0]] = key
        return np.zeros((len(split), 2), np.float32)

    def fitted(*arguments: Any) -> LinearProbe:
        asked["weights"] = arguments[4]
        return LinearProbe(np.zeros((2, 10), np.float32), np.zeros(10, np.float32), 1.0)

    monkeypatch.setattr(probing, "_features", features)
    monkeypatch.setattr(probing, "fit_linear_probe", fitted)
    return asked


def test_features_are_kept_for_what_they_are_of(trained: Path, seen: dict[str, Any]) -> None:
    """Another file, division, normalisation or precision: other features. Another training: the same ones."""
    start = backbone_of(trained)

    def key(experiment: Experiment) -> str:
        probing.with_probe(experiment, start, {})
        assert seen["train"].partition("-")[2] == seen["validation"].partition("-")[2]
        return str(seen["train"])

    plain = build(probed(trained))
    first = key(plain)
    changed_files = dataclasses.replace(plain, splits=dataclasses.replace(plain.splits, fingerprint="another"))
    others = [changed_files] + [
        build(probed(trained, **changes))
        for changes in ({"data.validation": 0.2}, {"data.normalization": "half"}, {"precision": "bfloat16"})
    ]
    assert len({first, *map(key, others)}) == 5
    other_training = {"num_epochs": 7, "optimizer.learning_rate": 0.5, "data.loading": "streamed"}
    assert key(build(probed(trained, **other_training))) == first


@pytest.mark.parametrize("sampling", ["shuffled", "balanced"])
@pytest.mark.parametrize("class_weights", ["none", (("3", 5.0),)])
def test_examples_weigh_as_in_training(trained: Path, seen: dict[str, Any], sampling: str, class_weights: Any) -> None:
    """By the loss, and by how often they are drawn: a class counts twice where it has half of its share of images."""
    experiment = build(probed(trained, **{"data.sampling": sampling, "loss.class_weights": class_weights}))
    probing.with_probe(experiment, backbone_of(trained), {})
    share = 10 * np.bincount(experiment.splits.train.labels) / len(experiment.splits.train)
    wanted = (1 / share if sampling == "balanced" else np.ones(10)) * np.where(
        np.arange(10) == 3, 1.0 if class_weights == "none" else 5.0, 1.0
    )
    weights = np.ones(10) if seen["weights"] is None else seen["weights"]
    np.testing.assert_allclose(weights, wanted, rtol=1e-6)


def test_new_hidden_layers_stay_as_they_begin(trained: Path) -> None:
    """With other classes a start gives no head: the last layer is fitted on what the network's own first ones make."""
    experiment = build(probed(trained, **{"model.hidden": (64,)}))
    start, first = backbone_of(trained), initial_state(experiment).params["head"]
    made = probing.with_probe(experiment, start, first)
    head = made.variables["params"]["head"]
    assert np.array_equal(head["hidden1"]["kernel"], first["hidden1"]["kernel"])
    run = dataclasses.replace(load_run(trained), variables=made.variables)
    hidden = np.maximum(run.embed(experiment.splits.train) @ head["hidden1"]["kernel"] + head["hidden1"]["bias"], 0)
    logits = hidden @ head["logits"]["kernel"] + head["logits"]["bias"]
    assert (logits.argmax(1) == experiment.splits.train.labels).mean() > 0.9


def test_one_class_cannot_be_told_from_others(trained: Path) -> None:
    plain = build(probed(trained))
    train = Examples(plain.splits.train.images, np.full(len(plain.splits.train), 3, np.int32))
    one = dataclasses.replace(plain, splits=dataclasses.replace(plain.splits, train=train))
    assert "the training split has images of one class only" in refusal(probing.check_probe, one)


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
