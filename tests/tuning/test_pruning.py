"""Which trials are stopped early."""

import math
import signal
from pathlib import Path

import optuna
import pytest

from cnn_jax.tuning.search.pruning import Bands, make_pruner
from cnn_jax.tuning.sweeps.file import read_sweep
from cnn_jax.tuning.sweeps.types import Stopping
from tests.support.helpers import read_json
from tests.support.sweeps import GRID, run, write


def test_pruning_stops_bad_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second and third trial are worse than the first at epoch 1, the fourth is better."""
    monkeypatch.setenv("FAKE_PAUSE", "0.15")
    path = write(
        tmp_path, {"config.x": {"values": [1, 0, -1, 2]}}, early_terminate={"type": "hyperband", "min_iter": 1}
    )
    run(path, tmp_path / "run")
    rows = read_json(tmp_path / "run/sweep.json")["trials"]
    assert [row["state"] for row in rows] == ["finished", "pruned", "pruned", "finished"]
    for number in ("0001", "0002"):
        assert (tmp_path / "run/trials" / number / "stopped").read_text() == str(int(signal.SIGTERM))
        assert not (tmp_path / "run/trials" / number / "summary.json").exists()


def test_rules_of_pruning(tmp_path: Path) -> None:
    with_file = read_sweep(write(tmp_path, GRID, early_terminate={"type": "hyperband", "max_iter": 27, "s": 2}))
    without = read_sweep(write(tmp_path, GRID))
    assert make_pruner(without, "file") is None
    assert make_pruner(with_file, "none") is None
    assert isinstance(make_pruner(with_file, "file"), Bands)
    assert isinstance(make_pruner(without, "median"), optuna.pruners.MedianPruner)
    assert isinstance(make_pruner(without, "hyperband"), optuna.pruners.HyperbandPruner)


def stops(curves: list[list[float]], direction: str = "minimize", **stopping: float) -> list[int | None]:
    """The epoch at which each of the curves, one after the other, is stopped."""
    pruner = Bands(Stopping("hyperband", **{"min_iter": 1, **stopping}))  # type: ignore[arg-type]
    study, found = optuna.create_study(pruner=pruner, direction=direction), []
    for curve in curves:
        trial = study.ask()
        for epoch, value in enumerate(curve, 1):
            trial.report(value, epoch)
            if trial.should_prune():
                found.append(epoch)
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                break
        else:
            found.append(None)
            study.tell(trial, curve[-1])
    return found


@pytest.mark.parametrize(
    ("stopping", "bands"),
    [
        ({"max_iter": 27, "s": 2}, [3, 9]),
        ({"max_iter": 20, "s": 2}, [2, 6]),  # not 18, which would be the next of a ladder from 2
        ({"max_iter": 20, "s": 9}, [2, 6]),
        ({"min_iter": 2}, [2, 6, 18]),
        ({"min_iter": 2, "eta": 2.5}, [2, 5, 12]),
    ],
)
def test_bands(stopping: dict[str, float], bands: list[int]) -> None:
    """Curves that are the worst of all at one epoch only are stopped there, where the epoch is a band."""
    good = [0.0] * 26
    found = [stops([good, [float(at == epoch) for at in range(1, 27)]], **stopping)[1] for epoch in range(1, 27)]
    assert [epoch for epoch in found if epoch is not None] == bands


def test_the_share_that_stays() -> None:
    """As wandb's controller counts: of n values that of rank floor(n / eta), from 0, is the worst that stays."""
    assert stops([[5.0], [4.0], [4.5], [4.6], [4.2], [4.55], [4.1]]) == [None, None, None, 1, None, 1, None]
    assert stops([[-5.0], [-4.0], [-4.5], [math.nan]], direction="maximize") == [None, None, None, 1]
    assert stops([[5.0], [4.0], [4.5], [4.6], [4.7]], eta=2) == [None, None, None, None, 1]


def test_what_was_best_is_looked_at_again() -> None:
    """A trial that was the first at its band is stopped when others turn out to be better."""
    study = optuna.create_study(pruner=Bands(Stopping("hyperband", 2)))
    first, second = study.ask(), study.ask()
    for epoch in (1, 2, 3):
        first.report(1.0, epoch)
        assert not first.should_prune()
    second.report(0.5, 2)
    assert not second.should_prune()
    first.report(0.1, 4)
    assert first.should_prune()
