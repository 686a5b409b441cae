"""MLflow and TensorBoard: what a run logs there is what its own log holds; services that hang stop nothing."""

import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from helpers import read_json, tiny_config

from cnn_jax import tracking
from cnn_jax.errors import InputError
from cnn_jax.experiment import fit
from cnn_jax.inference import load_run, softmax
from cnn_jax.tracking.background import Background
from cnn_jax.tracking.local import read_rows

READ_BACK = """
import json, sys
import mlflow, numpy as np
mlflow.set_tracking_uri("sqlite:///mlflow.db")
runs = mlflow.search_runs(experiment_names=["cnn_jax"])
client = mlflow.MlflowClient()
run_id = runs.run_id[0]
history = {key.removeprefix("metrics."): [(m.step, m.value) for m in client.get_metric_history(run_id, key[8:])]
           for key in runs.columns if key.startswith("metrics.")}
images = np.load("images.npy")
probabilities = mlflow.pyfunc.load_model(f"runs:/{run_id}/model").predict(images)
np.save("probabilities.npy", probabilities)
print(json.dumps({"runs": json.loads(runs.to_json(orient="records")), "history": history,
                  "artifacts": [item.path for item in client.list_artifacts(run_id)], "id": run_id}))
"""


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A run stopped after its first epoch and made longer, with MLflow and TensorBoard, and what MLflow knows of it."""
    place = tmp_path_factory.mktemp("mlflow")
    config = place / "tracked.py"
    config.write_text(
        f"import sys\nsys.path.insert(0, {str(Path(__file__).parent)!r})\nfrom helpers import tiny_config\n"
        f"def get_config():\n    return tiny_config(num_epochs=1, tracking__mlflow='on', tracking__tensorboard=True)\n"
    )
    run = [sys.executable, str(ROOT / "scripts/train.py"), f"--config={config}", "--workdir=runs/tracked"]
    for epochs in (1, 2):
        result = subprocess.run([*run, f"--config.num_epochs={epochs}"], cwd=place, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        assert "Warning" not in result.stderr
        assert "INFO" not in result.stderr
    np.save(place / "images.npy", np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1), dtype=np.uint8))
    result = subprocess.run([sys.executable, "-c", READ_BACK], cwd=place, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
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
    from cnn_jax.mlflow_model import _load_pyfunc

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


# Services that fail


@pytest.mark.parametrize(
    ("extra", "package", "value"), [("mlflow", "mlflow", "on"), ("tensorboard", "tensorboardX", True)]
)
def test_a_missing_package_is_said_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extra: str, package: str, value: Any
) -> None:
    original = tracking.importlib.util.find_spec
    monkeypatch.setattr(tracking.importlib.util, "find_spec", lambda name: None if name == package else original(name))
    with pytest.raises(InputError, match=rf'{package}, which is not installed: pip install -e "\.\[{extra}\]"'):
        fit(tiny_config(**{f"tracking__{extra}": value}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


class Slow:
    """Does each thing when it is allowed to."""

    def __init__(self) -> None:
        self.go, self.calls = threading.Event(), []

    def log(self, step: int, metrics: Any) -> None:
        self.go.wait()
        self.calls.append(step)

    def log_artifact(self, path: Path) -> None: ...

    def finish(self, summary: Any) -> None:
        self.calls.append(summary)


def test_nobody_waits_for_a_slow_tracker() -> None:
    slow = Slow()
    background = Background("slow", lambda sent: slow, patience=0.2)
    for step in range(100):
        background.log(step, {"split": "train", "epoch": 1})
    started = time.monotonic()
    with pytest.raises(TimeoutError, match=r"nothing has moved for 0\.2 s"):
        background.finish({"x": 1})
    assert 0.2 <= time.monotonic() - started < 5
    slow.go.set()
    background._thread.join(10)
    assert slow.calls == [*range(100), {"x": 1}]


def test_what_goes_wrong_behind_is_raised_by_the_next_call() -> None:
    def start(sent: Any) -> Any:
        raise ConnectionError("no network\nat all")

    background = Background("broken", start)
    background._thread.join(10)
    for call in (lambda: background.log(1, {}), lambda: background.finish({})):
        with pytest.raises(RuntimeError, match=r"^no network at all$"):
            call()


@pytest.fixture
def silent_server() -> Iterator[str]:
    """Accepts whoever comes and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        kept: list[socket.socket] = []

        def accept() -> None:
            try:
                while True:
                    kept.append(server.accept()[0])
            except OSError:
                pass

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        for connection in kept:
            connection.close()


TRAIN = """
import sys, time
sys.path.insert(0, sys.argv[1])
from helpers import tiny_config
from cnn_jax.tracking import background
from cnn_jax.experiment import fit
background.PATIENCE = 1.0
fit(tiny_config(num_epochs=1), sys.argv[2])
print("trained", flush=True)
"""


def trained_with(place: Path, uri: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", TRAIN, str(Path(__file__).parent), "run"], cwd=place, capture_output=True, text=True,
        timeout=120, env={**os.environ, "MLFLOW_TRACKING_URI": uri},
    )  # fmt: skip


def check_whole(place: Path, result: subprocess.CompletedProcess[str]) -> None:
    assert result.returncode == 0, result.stderr
    assert result.stdout == "trained\n"
    assert result.stderr.count("MLflow failed and is left out from here on") == 1
    assert [row["split"] for row in read_rows(place / "run/metrics.jsonl")] == ["train", "validation", "test"]
    assert (place / "run/summary.json").exists()


def test_a_server_that_never_answers(silent_server: str, tmp_path: Path) -> None:
    check_whole(tmp_path, trained_with(tmp_path, silent_server))


def test_a_store_that_cannot_be_had(tmp_path: Path) -> None:
    (tmp_path / "folder/x.db").mkdir(parents=True)
    check_whole(tmp_path, trained_with(tmp_path, "sqlite:///folder/x.db"))
