"""Trains one config with several seeds or on several folds, and says what its figures are worth."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import ml_collections

from cnn_jax.cli.programs import module_words
from cnn_jax.cli.signals import Shutdown
from cnn_jax.cli.text_table import format_table
from cnn_jax.config.tree import to_json
from cnn_jax.errors import InputError, SaveError
from cnn_jax.pictures.repeat import plot_repeat
from cnn_jax.runs.directory import finished_summary, write_json
from cnn_jax.runs.noise import Spread, images_of, interval_of, spread, wilson_interval
from cnn_jax.runs.overview import percent
from cnn_jax.runs.search import read_run
from cnn_jax.runtime.folders import make_folder, remove_empty
from cnn_jax.tuning.repeats.plan import Plan, check_directory, command_of, configs_of, first_lines
from cnn_jax.tuning.repeats.runs import Runs

_SPLITS = ("validation", "test")

Record = Mapping[str, Any]


class Outcome(NamedTuple):
    """What to print, and the exit status: 1 where a run failed."""

    lines: str
    status: int


def run_repeat(
    plan: Plan, config: ml_collections.ConfigDict, words: Sequence[str], workdir: str | Path, jobs: int = 1,
    shutdown: Shutdown | None = None, program: Sequence[str] = (),
) -> Outcome:  # fmt: skip
    """Trains what is not finished yet; writes `repeat.json` and `repeat.png`.

    The same call again goes on where an earlier one was stopped or killed; a longer list of seeds makes a repeat
    longer.

    Args:
      plan: the seeds, or the folds.
      config: what is repeated.
      words: the flags that give `config` to `program`.
      workdir: runs are its folders seed0, seed1, ... or fold0, fold1, ...
      jobs: the most at once.
      shutdown: of the script.
      program: words behind the interpreter that train a run; () is `cnn_jax train`.

    Raises:
      InputError: the directory holds something else, or a run refuses the config or its data.
      Interrupted: SIGINT or SIGTERM came; the runs have saved what they had.
      SaveError: the disk is full.
    """
    folder = Path(workdir)
    check_directory(plan, config, folder)
    configs = configs_of(plan, config)
    commands = {
        name: command_of(program or module_words("train"), sys.executable, words, plan, number)
        for name, number in plan.names.items()
    }
    runs = Runs(
        folder, commands, lambda name: finished_summary(configs[name], folder / name) is not None, jobs,
        lambda name: _note(plan, config, folder, runs.errors, name),
    )  # fmt: skip
    made: list[Path] = []
    try:
        made = make_folder(folder)
        _write(plan, config, folder, {})
    except OSError as error:
        remove_empty(made)
        raise InputError(
            f"--workdir={folder}: it cannot be written ({error.strerror}); choose another folder"
        ) from error
    try:
        runs.run(shutdown or Shutdown())
    except InputError:
        _leave_nothing(folder, made)
        raise
    except OSError as error:
        raise SaveError(f"{folder}: what came out cannot be written ({error.strerror}); make room, and run the same "
                        f"command again") from error  # fmt: skip
    records = _write(plan, config, folder, runs.errors)
    files = _draw(plan, records, folder)
    lines = report(plan, records, runs.errors)
    return Outcome("\n".join([*lines, f"written: {', '.join(map(str, files))}"]), 1 if runs.errors else 0)


def figures_of(records: Sequence[Record], folds: bool) -> dict[str, Spread]:
    """{figure of the validation or test split that all runs have: its spread}"""
    there = [name for name in (records[0] if records else ()) if _is_figure(name)]
    names = [name for split in _SPLITS for name in there if name.startswith(split)]
    common = [name for name in names if all(isinstance(record.get(name), int | float) for record in records)]
    return {name: spread([float(record[name]) for record in records], folds, name) for name in common}


def report(plan: Plan, records: Sequence[Record], errors: Mapping[str, str]) -> list[str]:
    """A table of the runs, one of their figures, and what the intervals mean."""
    lines = [f"{name} failed: {error}" for name, error in errors.items()]
    figures = figures_of(records, plan.folds is not None)
    if not figures:
        return [*lines, "no run is finished, so there is nothing to say"]
    main = [name for name in figures if name.endswith(("_accuracy", "_loss")) and "_balanced" not in name]
    main = [name for name in main if "_top5" not in name]
    rows = [["run", *main], *([record["run"], *(f"{record[name]:.4f}" for name in main)] for record in records)]
    table = [["figure", "mean", "std", "95 % interval of the mean"]]
    for name, one in figures.items():
        interval = "" if one.interval is None else f"{one.interval[0]:.4f} to {one.interval[1]:.4f}"
        table.append([name, f"{one.mean:.4f}", "" if one.std is None else f"{one.std:.4f}", interval])
    right = [False, *[True] * len(main)]
    return [*lines, *format_table(rows, right), "", *format_table(table), "", *_meaning(plan, records, bool(errors))]


def _meaning(plan: Plan, records: Sequence[Record], some_failed: bool) -> list[str]:
    """What is uncertain, and what of it each interval covers."""
    count = len(records)
    lines = []
    if some_failed:
        lines.append(f"the figures are those of {count} runs that came to their end: they flatter the config")
    if count > 1:
        how = f"over {count} {plan.over}s: std is of single runs (n - 1), the interval is Student's t of their mean"
        lines.append(
            how if plan.folds is None else f"{how}, wider as folds share training images (Nadeau and Bengio 2003)"
        )
    known = [name for name in ("test_accuracy", "validation_accuracy") if images_of(records[0], name) is not None]
    known = [name for name in known if all(name in record for record in records)]
    if not known:
        return lines
    if plan.folds is not None:
        correct, images = pooled_folds(records, "validation_accuracy")
        interval = percent(wilson_interval(correct, images))
        return [*lines, f"all folds together: {correct:,} of {images:,} images right, {correct / images:.2%} (95 % "
                        f"interval {interval}, binomial); the test split was not touched"]  # fmt: skip
    one = sorted(records, key=lambda record: float(record[known[0]]))[count // 2]
    return [*lines, _of_one_run(one, known[0])]


def _of_one_run(record: Record, metric: str) -> str:
    interval = interval_of(record, metric)
    assert interval is not None
    return (
        f"apart from that, the {images_of(record, metric):,} {metric.partition('_')[0]} images are a sample: {metric} "
        f"of one run, {record['run']}, is {record[metric]:.2%} (95 % interval {percent(interval)}, binomial)"
    )


def pooled_folds(records: Sequence[Record], metric: str) -> tuple[int, int]:
    """(right, images) over all folds, which have each training image once."""
    counts = [(images_of(record, metric) or 0, float(record[metric])) for record in records]
    return sum(round(value * count) for count, value in counts), sum(count for count, _ in counts)


def _write(plan: Plan, config: Any, folder: Path, errors: Mapping[str, str]) -> list[dict[str, Any]]:
    """Writes `repeat.json`; the records of the finished runs."""
    runs, finished = [], []
    for name, number in plan.names.items():
        record = read_run(folder / name, folder) if (folder / name).is_dir() else {"run": name, "status": "not begun"}
        done = record["status"] == "finished"
        figures = {key: value for key, value in record.items() if _is_figure(key)} if done else {}
        state = "failed" if name in errors else record["status"]
        runs.append({"run": name, plan.over: number, "status": state, "error": errors.get(name), **figures})
        finished += [record] if done else []
    spreads = {
        name: {"mean": one.mean, "std": one.std, "interval_95": one.interval, "runs": one.runs}
        for name, one in figures_of(finished, plan.folds is not None).items()
    }
    write_json(folder / "repeat.json", {**first_lines(plan, to_json(config)), "runs": runs, "figures": spreads})
    return finished


def _note(plan: Plan, config: Any, folder: Path, errors: Mapping[str, str], name: str) -> str:
    """Writes down how things stand; a line about the run that has just ended."""
    records = {record["run"]: record for record in _write(plan, config, folder, errors)}
    if name in errors:
        return f"{name} failed: {errors[name]}"
    value = records.get(name, {}).get("validation_accuracy")
    return f"{name} is finished" + ("" if value is None else f": validation_accuracy {value:.4f}")


def _draw(plan: Plan, records: Sequence[Record], folder: Path) -> list[Path]:
    files = [folder / "repeat.json"]
    figures = figures_of(records, plan.folds is not None)
    shown = [name for name in (f"{split}_accuracy" for split in _SPLITS) if name in figures]
    if shown:
        panels = [
            (name, [float(r[name]) for r in records], [interval_of(r, name) for r in records], figures[name])
            for name in shown
        ]
        title = f"{folder.name}: {len(records)} {plan.over}s of one config"
        files.append(plot_repeat([record["run"] for record in records], panels, title, folder / "repeat.png"))
    return files


def _is_figure(name: str) -> bool:
    return name.startswith(tuple(f"{split}_" for split in _SPLITS)) and not name.endswith("_examples")


def _leave_nothing(folder: Path, made: Sequence[Path]) -> None:
    """Where no run was begun, everything is as it was; `made` are the folders that were not there."""
    if not any(path.is_dir() for path in folder.glob("*")):
        (folder / "repeat.json").unlink(missing_ok=True)
        remove_empty(made)
