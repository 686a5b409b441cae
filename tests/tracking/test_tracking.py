"""The local log, wandb, and trackers that fail."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cnn_jax import tracking
from cnn_jax.runs.metrics_file import read_rows
from cnn_jax.tracking.local import LocalTracker
from cnn_jax.tracking.wandb import wandb_mode
from tests.support.helpers import ROOT, read_json, script


def test_the_log_is_cut_back_to_whole_epochs(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    tracker = LocalTracker(path, 0)
    for epoch in (1, 2):
        tracker.log(epoch * 10, {"epoch": epoch, "split": "train", "loss": 0.1})
    tracker.log(20, {"epoch": 2, "split": "test", "loss": 0.1})
    with open(path, "a") as file:
        file.write('{"step": 30, "epo')
    LocalTracker(path, 1)
    assert read_rows(path) == [{"step": 10, "epoch": 1, "split": "train", "loss": 0.1}]


def test_a_tracker_that_fails_is_left_out(tmp_path: Path) -> None:
    class Broken:
        calls = 0

        def log(self, step: int, metrics: Any) -> None:
            self.calls += 1
            raise ConnectionError("no network")

        def log_artifact(self, path: Path) -> None:
            self.calls += 1

        def finish(self, summary: Any) -> None:
            self.calls += 1

    broken = Broken()
    trackers = tracking.Trackers(LocalTracker(tmp_path / "metrics.jsonl", 0), [broken])
    with pytest.warns(UserWarning, match="Broken failed and is left out .*no network"):
        trackers.log(1, {"epoch": 1, "split": "train"})
    trackers.log(2, {"epoch": 2, "split": "train"})
    trackers.finish({})
    assert broken.calls == 1
    assert len(read_rows(tmp_path / "metrics.jsonl")) == 2


def test_a_resumed_run_tells_nothing_twice_and_a_new_tracker_everything(tmp_path: Path) -> None:
    class Heard:
        def __init__(self) -> None:
            self.rows: list[tuple[int, str]] = []

        def log(self, step: int, metrics: Any) -> None:
            self.rows.append((step, metrics["split"]))

        def log_artifact(self, path: Path) -> None: ...

        def finish(self, summary: Any) -> None: ...

    path, rows = (
        tmp_path / "metrics.jsonl",
        [(epoch, split) for epoch in (1, 2, 3) for split in ("train", "validation")],
    )
    before = LocalTracker(path, 0)
    for epoch, split in rows[:5]:  # stopped after the checkpoint of epoch 1, within epoch 3
        before.log(epoch, {"epoch": epoch, "split": split})
    local, known, new = LocalTracker(path, 1), Heard(), Heard()
    trackers = tracking.Trackers(
        local, [tracking._resumed(known, local, known=True), tracking._resumed(new, local, known=False)]
    )
    for epoch, split in rows[2:]:
        trackers.log(epoch, {"epoch": epoch, "split": split})
    assert known.rows == rows[5:]
    assert new.rows == rows
    assert [(row["step"], row["split"]) for row in read_rows(path)] == rows


@pytest.mark.parametrize(
    ("choice", "environment", "mode"),
    [
        ("auto", {}, None),
        ("auto", {"WANDB_MODE": "offline"}, "offline"),
        ("auto", {"WANDB_MODE": "disabled", "WANDB_API_KEY": "x"}, None),
        ("auto", {"WANDB_API_KEY": "x"}, "online"),
        ("auto", {"WANDB_SWEEP_ID": "x"}, "online"),
        ("off", {"WANDB_API_KEY": "x"}, None),
        ("offline", {}, "offline"),
        ("online", {}, "online"),
    ],
)
def test_when_wandb_is_on(
    monkeypatch: pytest.MonkeyPatch, choice: str, environment: dict[str, str], mode: str | None
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert wandb_mode(choice) == mode


def records(path: Path) -> Iterator[bytes]:
    """The records of a .wandb file: a LevelDB log of 32 KiB blocks behind a header of 7 bytes."""
    data, position, whole = path.read_bytes(), 7, b""
    while position < len(data):
        left = 32768 - position % 32768
        if left < 7:
            position += left
            continue
        length, kind = struct.unpack("<HB", data[position + 4 : position + 7])
        whole += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield whole
            whole = b""


def test_wandb_offline_holds_config_metrics_and_summary(tmp_path: Path) -> None:
    from wandb.proto import wandb_internal_pb2

    config_file = tmp_path / "tracked.py"
    config_file.write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom tests.support.helpers import tiny_config\n"
        f"def get_config():\n    return tiny_config(num_epochs=1, tracking__wandb='offline')\n"
    )
    # In a process of its own: what other tests leave behind in this one is none of wandb's business.
    result = script("train.py", f"--config={config_file}", f"--workdir={tmp_path / 'run'}")
    assert result.returncode == 0, result.stderr
    summary = read_json(tmp_path / "run/summary.json")
    identity = (tmp_path / "run/wandb_id").read_text()
    (file,) = (tmp_path / "run/wandb").glob(f"offline-run-*-{identity}/run-{identity}.wandb")
    history, config, final = [], {}, {}
    for data in records(file):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        # With the run, or by itself where wandb was slow to start.
        updates = (*record.run.config.update, *record.config.update)
        config |= {item.key: json.loads(item.value_json) for item in updates}
        final |= {item.key: json.loads(item.value_json) for item in record.summary.update}
        history.append({item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.history.item})
    rows = read_rows(tmp_path / "run/metrics.jsonl")
    assert config["model"]["filters"] == [8, 8]
    assert any(row.get("train_loss") == rows[0]["loss"] and row["step"] == 10 for row in history)
    assert any(row.get("validation_accuracy") == rows[1]["accuracy"] for row in history)
    assert final["test_accuracy"] == summary["test_accuracy"]
