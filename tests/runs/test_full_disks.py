"""Full and unwritable disks: training says so and goes on, and nothing whole is ever lost."""

import gc
import os
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cnn_jax.errors import SaveError
from cnn_jax.experiment.fitting import fit
from cnn_jax.inference.run import load_run
from cnn_jax.runs.checkpoints import Checkpoints
from cnn_jax.runs.directory import write_json
from cnn_jax.runs.metrics_file import read_rows
from cnn_jax.tracking.local import LocalTracker
from cnn_jax.training.checkpointing import Checkpointer
from cnn_jax.training.state import TrainState
from tests.support.checkpoints import STEPS, small, steps_in
from tests.support.helpers import read_json
from tests.support.runs import assert_same_run, at_call, signal_at

# Where a disk is full, threads of Orbax go on for a while and fail by themselves.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "none", folder]).returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)
    with warnings.catch_warnings():  # Orbax's coroutines that were never awaited must not be found in another test
        warnings.simplefilter("ignore")
        gc.collect()


class Filler:
    """Fills a disk before each checkpoint, as long as it is `on`: what Orbax removes at last would leave room."""

    def __init__(self, disk: Path, monkeypatch: pytest.MonkeyPatch):
        self.disk, self.on = disk, False
        save = Checkpointer.save

        def save_on_a_full_disk(checkpointer: Checkpointer, state: TrainState) -> None:
            self.checkpointer = checkpointer
            checkpointer.settle()
            if self.on:
                fill(disk)
            save(checkpointer, state)

        monkeypatch.setattr(Checkpointer, "save", save_on_a_full_disk)

    def begin(self) -> None:
        self.checkpointer.settle()
        self.on = True

    def make_room(self) -> None:
        self.checkpointer.settle()  # else the checkpoint before might find it, too
        self.on = False
        (self.disk / "filler").unlink()


@pytest.fixture
def filler(disk: Path, monkeypatch: pytest.MonkeyPatch) -> Filler:
    return Filler(disk, monkeypatch)


def fill(disk: Path) -> None:
    with open(disk / "filler", "ab", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workdir = tmp_path_factory.mktemp("undisturbed") / "run"
    fit(small(num_epochs=5), workdir)
    return workdir


def test_a_disk_that_is_full_for_a_while(
    undisturbed: Path,
    disk: Path,
    filler: Filler,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with monkeypatch.context() as patch:
        at_call(patch, {2 * STEPS - 1: filler.begin, 4 * STEPS - 1: filler.make_room})
        fit(small(num_epochs=5), disk / "run")
    said = capsys.readouterr().err
    for step in (2 * STEPS, 3 * STEPS):
        words = f"the checkpoint of step {step} could not be saved (No space left on device); that of step {STEPS} is"
        assert said.count(words) == 1, said
    assert steps_in(disk / "run/checkpoints") == [4 * STEPS, 5 * STEPS]
    assert_same_run(undisturbed, disk / "run", small(num_epochs=5))


@pytest.mark.parametrize("how", ["full", "read-only"])
def test_a_disk_that_stays_unwritable(
    undisturbed: Path,
    disk: Path,
    filler: Filler,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def remount(mode: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{mode}", disk], check=True)

    def close_it() -> None:
        filler.checkpointer.settle()
        filler.begin() if how == "full" else remount("ro")

    with monkeypatch.context() as patch:
        at_call(patch, {2 * STEPS - 1: close_it})
        with pytest.raises(SaveError, match=r"\((No space left|Read-only).*that of step 11 is kept.*third failure"):
            fit(small(num_epochs=9), disk / "run")
    assert "Traceback" not in capsys.readouterr().err
    filler.make_room() if how == "full" else remount("rw")
    # The failed one's temporary folder may be there until the next start clears it away.
    assert [path.name for path in (disk / "run/checkpoints").iterdir() if path.name.isdigit()] == [str(STEPS)]
    load_run(disk / "run")
    fit(small(num_epochs=9), disk / "run")
    assert read_json(disk / "run/summary.json")["epochs"] == 9


def test_the_last_checkpoint_must_be_saved(disk: Path, filler: Filler, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        at_call(patch, {STEPS + 5: filler.begin})
        with pytest.raises(SaveError, match="the last steps could not be saved: that of step 11 is kept"):
            fit(small(num_epochs=2), disk / "run")
    assert SaveError.exit_status == 4


def test_a_stop_on_a_full_disk_is_no_traceback(disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        at_call(patch, {2: lambda: fill(disk)})
        signal_at(patch, 4, which=0)
        with pytest.raises(SaveError, match="there is no older one"):
            fit(small(num_epochs=2), disk / "run")


def test_the_best_is_never_one_that_was_not_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second epoch is the best, and its checkpoint fails: the first one's weights are the result so far."""
    original = Checkpoints.save

    def save(self: Checkpoints, step: int, *arguments: Any) -> None:
        if step == 20:
            raise OSError(28, "No space left on device")
        original(self, step, *arguments)

    monkeypatch.setattr(Checkpoints, "save", save)
    config = small(
        num_epochs=3, data__validation=0.1, schedule__name="MultiStepLR", schedule__milestones=(2,),
        schedule__gamma=1e3, checkpoint__metric="validation_loss",
    )  # fmt: skip
    summary = fit(config, tmp_path / "run")
    rows = [row for row in read_rows(tmp_path / "run/metrics.jsonl") if row["split"] == "validation"]
    assert min(rows, key=lambda row: row["loss"])["epoch"] == 2
    assert summary["best_epoch"] == 1
    assert steps_in(tmp_path / "run/checkpoints") == [10, 30]


def test_rows_and_files_on_a_full_disk(disk: Path) -> None:
    tracker = LocalTracker(disk / "metrics.jsonl", 0)
    for epoch in range(1, 4):
        if epoch == 2:
            fill(disk)
            with pytest.raises(OSError, match="No space left"):
                write_json(disk / "summary.json", {"a": "b" * 5000})
        tracker.log(epoch, {"epoch": epoch, "split": "train", "text": "x" * 4096})
    assert len(read_rows(disk / "metrics.jsonl")) == 1
    (disk / "filler").unlink()
    tracker.finish({})
    assert [row["epoch"] for row in read_rows(disk / "metrics.jsonl")] == [1, 2, 3]
    assert [path.name for path in disk.iterdir()] == ["metrics.jsonl"]
