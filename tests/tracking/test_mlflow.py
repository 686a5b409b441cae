"""MLflow and TensorBoard: what a run logs there is what its own log holds."""

import json
import re
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnn_jax.errors import InputError
from cnn_jax.inference.run import load_run, softmax
from cnn_jax.runs.metrics_file import read_rows
from cnn_jax.tracking.tensorboard import TensorboardTracker
from tests.support.helpers import ROOT, read_json

TRAIN_AND_READ_BACK = """
import json, sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from tests.support.helpers import tiny_config
from cnn_jax.experiment import fit
for epochs in (1, 2):
    fit(tiny_config(num_epochs=epochs, tracking__mlflow="on", tracking__tensorboard=True), "runs/tracked")
print("trained", file=sys.stderr, flush=True)
import mlflow
assert mlflow.get_tracking_uri() != "sqlite:///mlflow.db" and mlflow.active_run() is None  # its settings are the user's
mlflow.set_tracking_uri("sqlite:///mlflow.db")
runs = mlflow.search_runs(experiment_names=["cnn_jax"])
client = mlflow.MlflowClient()
run_id = runs.run_id[0]
history = {key.removeprefix("metrics."): [(m.step, m.value) for m in client.get_metric_history(run_id, key[8:])]
           for key in runs.columns if key.startswith("metrics.")}
np.save("probabilities.npy", mlflow.pyfunc.load_model(f"runs:/{run_id}/model").predict(np.load("images.npy")))
print(json.dumps({"runs": json.loads(runs.to_json(orient="records")), "history": history,
                  "artifacts": [item.path for item in client.list_artifacts(run_id)], "id": run_id}))
"""


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A run stopped after its first epoch and made longer, with MLflow and TensorBoard, and what MLflow knows of it."""
    place = tmp_path_factory.mktemp("mlflow")
    np.save(place / "images.npy", np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1), dtype=np.uint8))
    command = [sys.executable, "-c", TRAIN_AND_READ_BACK, str(ROOT)]
    result = subprocess.run(command, cwd=place, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    said = result.stderr.partition("trained\n")[0]
    assert "epoch 2/2" in said
    assert not re.search("Warning|INFO", said), said
    return place, json.loads(result.stdout)


def test_mlflow_holds_the_run(logged: tuple[Path, dict[str, Any]]) -> None:
    place, found = logged
    workdir = place / "runs/tracked"
    (run,) = found["runs"]  # the longer run went on in the same one
    summary, environment = read_json(workdir / "summary.json"), read_json(workdir / "environment.json")
    assert run["status"] == "FINISHED"
    assert run["tags.mlflow.runName"] == "tracked"
    assert run["params.optimizer.learning_rate"] == "0.02"
    assert run["params.seed"] == "0"
    assert run["params.model.filters"] == "[8, 8]"
    assert run["tags.now.num_epochs"] == "2"
    assert run["tags.mlflow.source.git.commit"] == environment["git_commit"]
    assert json.loads(run["tags.packages"]) == environment["packages"]
    assert json.loads(run["tags.devices"]) == environment["devices"]
    assert run["metrics.final_test_accuracy"] == pytest.approx(summary["test_accuracy"], abs=1e-9)
    files = {"config.json", "environment.json", "metrics.jsonl", "summary.json", "plots", "model"}
    assert files <= set(found["artifacts"])


def test_mlflow_has_each_row_once(logged: tuple[Path, dict[str, Any]]) -> None:
    place, found = logged
    rows = read_rows(place / "runs/tracked/metrics.jsonl")
    for split, name in (("train", "loss"), ("validation", "accuracy")):
        expected = [[row["step"], row[name]] for row in rows if row["split"] == split]
        assert len(expected) == 2
        assert found["history"][f"{split}_{name}"] == expected


def test_the_model_that_mlflow_loads_predicts_as_the_run(logged: tuple[Path, dict[str, Any]]) -> None:
    place, _ = logged
    run = load_run(place / "runs/tracked")
    expected = softmax(run.logits(np.load(place / "images.npy")))
    np.testing.assert_allclose(np.load(place / "probabilities.npy"), expected, rtol=1e-6)
    stored = [path for path in (place / "mlruns").rglob("*") if path.suffix in (".pkl", ".pickle")]
    assert not stored


def test_the_model_refuses_other_images(trained: Path) -> None:
    from cnn_jax.inference.mlflow_pyfunc import _load_pyfunc

    model = _load_pyfunc(str(trained))
    assert model.predict(np.zeros((8, 8, 1), np.uint8)).shape == (1, 10)
    assert model.predict(np.zeros((0, 8, 8, 1), np.uint8)).shape == (0, 10)
    for images in (np.zeros((2, 8, 8, 1), np.float32), np.zeros((2, 9, 8, 1), np.uint8)):
        with pytest.raises(InputError, match=r"must be uint8 \[N, 8 x 8 x 1\]"):
            model.predict(images)


# TensorBoard


def events(path: Path) -> Iterator[Any]:
    """The events of a file: TFRecords of length, its CRC, the bytes, their CRC."""
    from tensorboardX.proto.event_pb2 import Event

    data, position = path.read_bytes(), 0
    while position < len(data):
        (length,) = struct.unpack_from("<Q", data, position)
        assert position + 12 + length + 4 <= len(data)
        event = Event()
        event.ParseFromString(data[position + 12 : position + 12 + length])
        position += 12 + length + 4
        yield event


def test_tensorboard_has_each_row_once(logged: tuple[Path, dict[str, Any]]) -> None:
    workdir = logged[0] / "runs/tracked"
    scalars: list[tuple[str, int, float]] = []
    texts = set()
    for file in sorted((workdir / "tensorboard").iterdir()):
        for event in events(file):
            for value in event.summary.value:
                if value.WhichOneof("value") == "simple_value":
                    scalars.append((value.tag, event.step, value.simple_value))
                else:
                    texts.add(value.tag.partition("/")[0])
    for row in read_rows(workdir / "metrics.jsonl"):
        for name in ("loss", "accuracy"):
            found = [value for tag, step, value in scalars if (tag, step) == (f"{name}/{row['split']}", row["step"])]
            assert found == [pytest.approx(row[name], rel=1e-6)]
    assert texts == {"config", "environment", "summary"}


def test_tensorboard_resumed_within_a_second_keeps_both_files(tmp_path: Path) -> None:
    for step in (1, 2):
        tracker = TensorboardTracker(tmp_path, {})
        tracker.log(step, {"split": "train", "epoch": step, "loss": 0.1})
        tracker.finish({})
    files = sorted((tmp_path / "tensorboard").iterdir())
    assert [{event.step for event in events(file)} for file in files] == [{0, 1}, {0, 2}]
