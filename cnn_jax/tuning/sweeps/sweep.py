"""Runs a sweep file here: no server, no account. Each trial is a process; this one starts them and keeps the books."""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cnn_jax.cli.programs import install
from cnn_jax.cli.progress import announce
from cnn_jax.cli.signals import Shutdown
from cnn_jax.errors import InputError
from cnn_jax.runtime.folders import missing_folders, remove_empty
from cnn_jax.tuning.sweeps import file as sweep_file
from cnn_jax.tuning.sweeps import table as sweep_table
from cnn_jax.tuning.sweeps.directory import best_of, describe, leave_nothing, open_directory
from cnn_jax.tuning.sweeps.types import Sweep


class Options(NamedTuple):
    """How a sweep is run, not what it is.

    Attributes:
      jobs: the most trials at once.
      trials: how many there are to be in the end; None: the file's run_cap, or the whole grid.
      seed: of all draws.
      storage: a database's URL; None is `sweep.db` in the directory.
      prune: one of `pruning.RULES`.
    """

    jobs: int = 1
    trials: int | None = None
    seed: int = 0
    storage: str | None = None
    prune: str = "file"


class Outcome(NamedTuple):
    """What to print, and the exit status: 1 where no trial finished."""

    lines: str
    status: int


def run_sweep(
    path: Path | str, workdir: Path | str, options: Options, shutdown: Shutdown | None = None
) -> Outcome:  # fmt: skip
    """Runs the trials of a sweep file that are not finished yet.

    The same call again goes on where an earlier one was stopped or killed; a larger `trials` makes a sweep longer;
    several processes may work on one sweep, in one directory or with one storage. `shutdown` is that of the script.

    Raises:
      InputError: the file, the storage or the directory cannot be used.
      Interrupted: SIGINT or SIGTERM came; the trials have saved what they had.
    """
    sweep = sweep_file.read_sweep(path)
    total = number_of_trials(sweep, options.trials)
    try:
        import optuna  # noqa: F401
    except ImportError as error:
        raise InputError(f"sweeps need Optuna: {install('sweep')}") from error
    from cnn_jax.tuning.search.pruning import make_pruner
    from cnn_jax.tuning.sweeps.database import shown_url, sqlite_file
    from cnn_jax.tuning.sweeps.store import Store
    from cnn_jax.tuning.sweeps.worker import Worker

    pruner = make_pruner(sweep, options.prune)
    if options.storage is not None:
        sqlite_file(options.storage)
    sweep_file.check_against_config(sweep, total, options.seed)
    for note in sweep.notes:
        announce(note)
    folder = Path(workdir)
    shown = None if options.storage is None else shown_url(options.storage)
    made = missing_folders(folder)
    book = open_directory(sweep, options.seed, folder, shown)
    described = describe(sweep, options.seed)
    try:
        opened = Store(sweep, options.seed, folder, book["id"], options.storage, book["study"], described)
    except InputError:
        if made:
            leave_nothing(folder)
            remove_empty(made)
        raise
    with contextlib.closing(opened) as store:
        worker = Worker(sweep, store, pruner, folder, book, total, options.jobs, shutdown or Shutdown())
        began = worker.run()
        rows = store.rows()
    report = write_report(sweep, folder)
    return Outcome(_lines(sweep, folder, rows, began, report), 1 if _fruitless(sweep, rows) else 0)


def number_of_trials(sweep: Sweep, asked: int | None) -> int:
    """How many trials there are to be: what was asked for, or the file's run_cap, or the whole grid."""
    wanted = asked if asked is not None else sweep.run_cap
    if sweep.method == "grid":
        size = sweep_file.grid_size(sweep)
        return size if wanted is None else min(wanted, size)
    if wanted is None:
        raise InputError(f"{sweep.source}: method {sweep.method} has no end; say --trials=N, or run_cap in the file")
    return wanted


def write_report(sweep: Sweep, folder: Path) -> str:
    """Writes `report.html`; a line that says where it is, or what is missing for it."""
    try:
        from cnn_jax.pages.runs import write_runs_page

        page = write_runs_page(folder, folder / "report.html", sweep.metric.name, sweep.metric.goal)
    except ImportError as error:
        return f"no report: {error.name} is missing: {install('sweep')}"
    except (InputError, OSError) as error:
        return f"no report: {error}"
    return f"report: {page}"


def _lines(sweep: Sweep, folder: Path, rows: Sequence[Mapping[str, Any]], began: int, report: str) -> str:
    """The table of all trials, those that other workers ran among them, and the best one as a command."""
    said = sweep_table.counts(rows) + ("" if began else "; there was nothing left to do")
    if any(row["state"] == "finished" and sweep.metric.reached(row["value"]) for row in rows):
        said += f"; the target of {sweep.metric.target} is reached"
    failed = [row for row in rows if row["state"] == "failed"]
    if any(row["state"] == "running" for row in rows):
        said += "; those running belong to workers with other directories"
    if failed:
        said += f"\nthe first that failed, trial {failed[0]['number']:04}: {failed[0]['error']}"
    return "\n".join(
        [
            sweep_table.make_table(sweep, rows),
            *sweep_table.over_seeds(sweep, rows),
            "",
            said,
            sweep_table.best_lines(sweep, rows, folder),
            report,
        ]
    )


def _fruitless(sweep: Sweep, rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether trials failed and none came to its end."""
    return best_of(rows, sweep.metric.goal) is None and any(row["state"] == "failed" for row in rows)
