"""Checkpoints that are damaged, replaced, due and kept: nothing whole is ever lost."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.errors import DamagedError, InputError, Interrupted
from cnn_jax.experiment import fitting as experiment_module
from cnn_jax.experiment.fitting import fit
from cnn_jax.inference.run import load_run
from cnn_jax.runs.checkpoints import Checkpoints, open_checkpoints
from cnn_jax.runs.checksums import array_checksums
from cnn_jax.training.loop_state import LoopState
from tests.support.checkpoints import STEPS, small, steps_in
from tests.support.helpers import read_json
from tests.support.runs import assert_same_run, at_call, signal_at

# Where a disk is full, threads of Orbax go on for a while and fail by themselves.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def state(value: float) -> dict[str, Any]:
    params = {"kernel": jnp.arange(1000.0).reshape(10, 100) * value, "half": jnp.ones(5, jnp.bfloat16)}
    return {"params": params, "batch_stats": {}, "step": jnp.int32(value)}


def progress(epoch: int, best: int | None = None) -> dict[str, Any]:
    return {"epoch": epoch, "best": None if best is None else {"step": best, "weights": "raw"}}


def saved(folder: Path, steps: tuple[int, ...] = (1, 2), keep: int = 2) -> Path:
    with open_checkpoints(folder, keep) as checkpoints:
        for step in steps:
            checkpoints.save(step, state(step), progress(step), {})
    return folder


def equal(first: Any, second: Any) -> bool:
    return bool(jax.tree.all(jax.tree.map(np.array_equal, first, second)))


def damages(content: bytes) -> Iterator[bytes | None]:
    """Every way to lose a file or a part of it; None: it is gone."""
    yield None
    yield b""
    yield content[: len(content) // 2]
    for place in range(0, len(content), max(1, len(content) // 6)):
        yield content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :]


@pytest.mark.slow
def test_no_damage_to_any_file_goes_unnoticed(tmp_path: Path) -> None:
    """Whatever happens to one file, what is restored is either what was saved or refused."""
    folder = saved(tmp_path / "checkpoints", (7,))
    refused, files = set(), sorted(path for path in folder.rglob("*") if path.is_file())
    for path in files:
        content = path.read_bytes()
        for damage in damages(content):
            path.unlink() if damage is None else path.write_bytes(damage)
            with open_checkpoints(folder, read_only=True) as checkpoints:
                try:
                    assert equal(checkpoints.restore(7, state(0)), state(7)), path
                    assert checkpoints.progress(7) == progress(7), path
                except DamagedError:
                    refused.add(path)
            path.write_bytes(content)
    assert len(refused) >= 5
    assert any("not what was saved" in reason for reason in [_flip_of_data(folder)])


def _flip_of_data(folder: Path) -> str:
    """One bit in the middle of the largest file, which holds the arrays: storage returns it without a word."""
    path = max((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x55
    path.write_bytes(bytes(content))
    with open_checkpoints(folder, read_only=True) as checkpoints, pytest.raises(DamagedError) as caught:
        checkpoints.restore(7, state(0))
    return str(caught.value)


def test_checksums_notice_bits_bytes_and_places() -> None:
    values = np.arange(100, dtype=np.float32)
    before = array_checksums({"a": values})
    for changed in (values[::-1], np.where(values == 50, 50.000004, values), np.roll(values, 1), values + 1):
        assert array_checksums({"a": changed.astype(np.float32)}) != before
    assert array_checksums({"a": values.reshape(10, 10)}) == before
    for dtype in (np.bool_, np.int8, np.float16, jnp.bfloat16, np.int32):
        assert array_checksums({"a": np.ones(3, dtype)}) != array_checksums({"a": np.array([1, 1, 0], dtype)})


def test_a_damaged_newest_checkpoint_is_moved_aside(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = saved(tmp_path / "checkpoints")
    (folder / "2/state/manifest.ocdbt").write_bytes(b"torn")
    with open_checkpoints(folder) as checkpoints:
        restored = checkpoints.restore_last(state(0), tmp_path / "damaged")
        assert checkpoints.last() == 1
        checkpoints.save(2, state(2), progress(2), {})
    assert restored is not None
    assert equal(restored[0], state(1))
    assert restored[1]["epoch"] == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"{folder / '2'}: this checkpoint is damaged" in said
    assert f"moved to {tmp_path / 'damaged/2'}, and the run goes on from step 1" in said
    assert (tmp_path / "damaged/2/state/manifest.ocdbt").read_bytes() == b"torn"
    assert steps_in(folder) == [1, 2]


def test_where_none_is_whole_none_is_moved(tmp_path: Path) -> None:
    folder = saved(tmp_path / "checkpoints")
    for step in (1, 2):
        shutil.rmtree(folder / str(step) / "state")
    with open_checkpoints(folder) as checkpoints:
        with pytest.raises(InputError, match=r"2: this checkpoint is damaged .*1 more.*none is whole; restore"):
            checkpoints.restore_last(state(0), tmp_path / "damaged")
        with pytest.raises(InputError, match="none is whole"):
            checkpoints.restore_best({"params": state(0)["params"], "batch_stats": {}})
    assert steps_in(folder) == [1, 2]
    assert not (tmp_path / "damaged").exists()


def test_a_run_goes_on_from_the_checkpoint_before_a_damaged_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit(small(num_epochs=3), tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "run")
    (tmp_path / "run/summary.json").unlink()
    for path in (tmp_path / f"run/checkpoints/{3 * STEPS}/state").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:10])
    capsys.readouterr()
    load_run(tmp_path / "run")
    assert f"{3 * STEPS}: this checkpoint is damaged" in capsys.readouterr().err
    assert not (tmp_path / "run/damaged").exists()
    fit(small(num_epochs=3), tmp_path / "run")
    assert steps_in(tmp_path / "run/damaged") == [3 * STEPS]
    assert_same_run(tmp_path / "whole", tmp_path / "run", small(num_epochs=3))


def test_the_best_of_every_kept_checkpoint_is_kept(tmp_path: Path) -> None:
    with open_checkpoints(tmp_path / "checkpoints", keep=2) as checkpoints:
        for step, best in ((1, 1), (2, 1), (3, 1)):
            checkpoints.save(step, state(step), progress(step, best), {})
    with open_checkpoints(tmp_path / "checkpoints", keep=2) as checkpoints:  # what it knew is read again
        checkpoints.save(4, state(4), progress(4, 4), {})
        checkpoints.wait()
        assert steps_in(tmp_path / "checkpoints") == [1, 3, 4]
        for step in (5, 6):
            checkpoints.save(step, state(step), progress(step, 4), {})
    assert steps_in(tmp_path / "checkpoints") == [4, 5, 6]


def test_a_checkpoint_that_is_replaced_is_never_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a kill in that moment leaves, with the new one not yet whole, and with both."""
    folder = saved(tmp_path / "checkpoints", (1,))
    checkpoints = Checkpoints(folder)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints._manager, "save", lambda *_, **__: None)
        checkpoints.save(1, state(9), progress(9), {})  # and here comes the kill
    assert steps_in(folder) == []
    with open_checkpoints(folder) as again:
        assert equal(again.restore(1, state(0)), state(1))
    shutil.copytree(folder / "1", folder / ".replaced/1")
    with open_checkpoints(folder) as again:
        again.save(1, state(5), progress(5), {})
        again.wait()
        assert equal(again.restore(1, state(0)), state(5))
    assert sorted(path.name for path in folder.iterdir()) == ["1"]


@pytest.mark.parametrize(
    ("older", "averaged_weights"),
    [
        ({"averaged": False, "averages": "ema"}, None),
        ({"averaged": True, "averages": "ema"}, "ema"),
        ({"averaged": True, "averages": "swa"}, "swa"),
    ],
)
def test_older_names_in_a_checkpoint_are_understood(
    tmp_path: Path, older: dict[str, Any], averaged_weights: str | None
) -> None:
    """The whole loop state as former versions wrote it."""
    written = {
        "epoch": 1, "totals": {}, "best": None, "epochs_without_better": 0, **older, "skipped_steps": 0,
        "skipped_in_a_row": 0, "wall_seconds": 1.5, "timed_seconds": 1.0, "timed_examples": 9,
    }  # fmt: skip
    with open_checkpoints(tmp_path / "checkpoints") as checkpoints:
        checkpoints.save(1, {**state(1), "ema": {"params": state(2)["params"], "batch_stats": {}}}, written, {})
    with open_checkpoints(tmp_path / "checkpoints") as checkpoints:
        loop_state = LoopState(**checkpoints.progress(1))
        restored = checkpoints.restore_best({"params": state(0)["params"], "batch_stats": {}})
    expected = LoopState(1, averaged_weights=averaged_weights, wall_seconds=1.5, timed_seconds=1.0, timed_examples=9)
    assert loop_state == expected
    assert restored is not None
    assert restored.weights == (averaged_weights or "raw")
    assert equal(restored.variables["params"], state(2 if averaged_weights else 1)["params"])


@pytest.mark.parametrize(
    ("unit", "every", "expected"), [("steps", 7, [7, 14, 21, 28, 33]), ("epochs", 0.5, [6, 11, 17, 22, 28, 33])]
)
def test_checkpoints_within_an_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unit: str, every: float, expected: Any
) -> None:
    """At every one of them the run can be taken up, to the bit."""
    steps: list[int] = []
    original = Checkpoints.save

    def save(self: Checkpoints, step: int, *arguments: Any) -> None:
        steps.append(step)
        original(self, step, *arguments)

    config = small(num_epochs=3, checkpoint__unit=unit, checkpoint__every=every, checkpoint__keep=9)
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", save)
        fit(config, tmp_path / "whole")
    assert steps == expected
    for last in (steps[0], steps[2]):
        shutil.copytree(tmp_path / "whole", tmp_path / f"run{last}")
        (tmp_path / f"run{last}/summary.json").unlink()
        for step in steps:
            if step > last:
                shutil.rmtree(tmp_path / f"run{last}/checkpoints/{step}")
        fit(config, tmp_path / f"run{last}")
        assert_same_run(tmp_path / "whole", tmp_path / f"run{last}", config)


def test_checkpoints_by_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 0.0

    def tick() -> None:
        nonlocal clock
        clock += 1000.0

    monkeypatch.setattr(experiment_module.time, "monotonic", lambda: clock)
    at_call(monkeypatch, {4: tick, 8: tick})
    fit(small(num_epochs=2, checkpoint__unit="minutes", checkpoint__every=10, checkpoint__keep=9), tmp_path / "run")
    # What is asked with a step is answered two steps later; both of these are done before the save.
    assert steps_in(tmp_path / "run/checkpoints") == [6, 10, 2 * STEPS]


def test_what_may_change_on_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        signal_at(patch, 4, which=0)
        with pytest.raises(Interrupted):
            fit(small(), tmp_path / "run")
    changes = {
        "data__workers": 1, "eval_batch_size": 100, "on_nonfinite": "skip", "checkpoint__every": 5,
        "checkpoint__unit": "steps", "checkpoint__keep": 7,
    }  # fmt: skip
    fit(small(**changes), tmp_path / "run")
    assert steps_in(tmp_path / "run/checkpoints") == [4, 5, 10, 15, 20, 22]
    assert read_json(tmp_path / "run/config.json")["checkpoint"]["keep"] == 7
