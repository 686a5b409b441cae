"""search_runs and scripts/runs.py: every run is found, whatever state it is in, and conditions read columns only."""

import csv
import json
import math
import os
from pathlib import Path
from typing import Any

import pytest

from cnn_jax.config.tree import flatten, to_json
from cnn_jax.errors import InputError
from cnn_jax.runs.comparison import differing_keys
from cnn_jax.runs.directory import open_run_directory
from cnn_jax.runs.filtering import condition, in_order
from cnn_jax.runs.search import run_records
from cnn_jax.runs.tables import as_json, columns_of, write_csv
from cnn_jax.tracking import search_runs
from tests.support.helpers import script, tiny_config


def make_run(
    path: Path, accuracies: tuple[float, ...], finished: bool = True, data: dict[str, Any] | None = None, **changes: Any
) -> None:
    """A run directory as training leaves it, without training; `data` is what its config.json says of them."""
    path.mkdir(parents=True)
    config = to_json(tiny_config(**changes)) | {"resolved": {"class_names": ["a", "b"], **(data or {})}}
    (path / "config.json").write_text(json.dumps(config))
    environment = {"started": "2026-01-02T03:04:05+0000", "devices": ["cpu: cpu", "cpu: cpu"], "git_commit": "abc"}
    (path / "environment.json").write_text(json.dumps(environment | {"command_line": ["scripts/train.py"]}))
    rows = [
        {"step": 10 * epoch, "epoch": epoch, "split": split, "accuracy": value, "loss": 1 - value}
        for epoch, value in enumerate(accuracies, start=1)
        for split in ("train", "validation")
    ]
    (path / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    if finished:
        figures = {"validation_accuracy": max(accuracies), "test_accuracy": 0.5, "wall_seconds": 3.0, "seed": 0}
        (path / "summary.json").write_text(json.dumps(figures | {"devices": {"count": 2}}))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five runs at several depths, two of them damaged, and what looks like runs and is none."""
    folder = tmp_path_factory.mktemp("runs")
    make_run(folder / "first", (0.5, 0.9, 0.8), optimizer__learning_rate=0.001)
    make_run(folder / "sweep/trials/0001", (0.7,), optimizer__name="sgd", optimizer__learning_rate=0.1)
    make_run(folder / "sweep/trials/0002", (0.3, 0.4), finished=False, model__filters=(4,))
    make_run(folder / "damaged", (0.2,))
    (folder / "damaged/config.json").write_text('{"model": ')
    make_run(folder / "odd <b>\n", (0.6,))
    (folder / "odd <b>\n/summary.json").write_text("[]")
    copy = folder / "first/wandb/run-1/files"
    copy.mkdir(parents=True)
    (copy / "config.json").write_text((folder / "first/config.json").read_text())
    (copy / "environment.json").write_text("{}")
    (folder / "other").mkdir()
    (folder / "other/config.json").write_text('{"architectures": ["bert"]}')
    (folder / "sweep/again").symlink_to(folder)
    return folder


def test_all_runs_are_found_once_with_what_is_known_of_them(folder: Path) -> None:
    frame = search_runs(folder).set_index("run")
    assert list(frame.index) == ["damaged", "first", "odd <b>\\n", "sweep/trials/0001", "sweep/trials/0002"]
    assert list(frame["status"]) == ["unreadable", "finished", "unreadable", "finished", "unfinished"]
    first = frame.loc["first"]
    assert first["validation_accuracy"] == 0.9
    assert first["best_validation_accuracy"] == 0.9
    assert first["last_validation_accuracy"] == 0.8
    assert first["best_train_loss"] == pytest.approx(0.1)
    assert (first["epoch"], first["step"]) == (3, 30)
    assert first["devices"] == "2 x cpu: cpu"
    assert first["git_commit"] == "abc"
    assert first["started"].startswith("2026-01-02")
    assert "config.json: it cannot be read" in frame.loc["damaged", "error"]
    assert frame.loc["damaged", "best_validation_accuracy"] == 0.2
    expected = {key: tuple(v) if isinstance(v, list) else v for key, v in flatten(tiny_config()).items()}
    record = next(record for record in run_records(folder) if record["run"] == "sweep/trials/0002")
    assert record["model.filters"] == (4,)
    assert {key: record[key] for key in expected if key != "model.filters"} == {
        key: value for key, value in expected.items() if key != "model.filters"
    }


DIGITS = "9" * 5000
NOT_FINITE = """{"step": 1, "epoch": 1, "split": "validation", "accuracy": 0.5, "loss": NaN}
{"step": 2, "epoch": Infinity, "split": "validation", "accuracy": 0.9}
{"step": 2, "epoch": 2, "split": "validation", "accuracy": 1e999}"""


@pytest.mark.parametrize(
    ("file", "text", "column", "value"),
    [
        ("metrics.jsonl", f'{{"step": 1, "epoch": 1, "split": "validation", "loss": {DIGITS}}}', "epoch", 1),
        ("metrics.jsonl", NOT_FINITE, "best_validation_accuracy", 0.5),
        ("metrics.jsonl", "[" * 100_000, "validation_accuracy", 0.6),
        ("summary.json", f'{{"test_accuracy": {DIGITS}}}', "test_accuracy", math.inf),
        ("summary.json", '{"run": "../x", "status": "unfinished", "epoch": 9}', "run", "run"),
        ("summary.json", '{"\\ud800": "\\ud800"}', "\\ud800", "\\ud800"),
        ("summary.json", '{"a":' * 900 + "1" + "}" * 900, "epoch", 1),
        ("config.json", "[" * 100_000, "status", "unreadable"),
        ("config.json", '{"model": 3, "optimizer": [1], "resolved": 5, "seed": NaN}', "model", 3),
        ("environment.json", '{"earlier": [1], "devices": [1], "command_line": 3}', "command_line", "3"),
    ],
)
def test_whatever_a_file_holds(tmp_path: Path, file: str, text: str, column: str, value: Any) -> None:
    make_run(tmp_path / "run", (0.6,))
    (tmp_path / "run" / file).write_text(text)
    frame = search_runs(tmp_path, "step != 7", "-epoch")
    assert frame[column][0] == value
    write_csv(run_records(tmp_path), tmp_path / "runs.csv")
    json.loads(as_json(run_records(tmp_path)), parse_constant=pytest.fail)  # NaN and Infinity are no JSON
    frame.to_json(tmp_path / "runs.json")


def test_links_to_themselves_hide_nothing_and_pipes_are_not_waited_for(tmp_path: Path) -> None:
    make_run(tmp_path / "run", (0.6,))
    (tmp_path / "itself").symlink_to("itself")
    (tmp_path / "pipes").mkdir()
    for name in ("config.json", "environment.json", "summary.json", "metrics.jsonl"):
        os.mkfifo(tmp_path / "pipes" / name)
    found = {run["run"]: run["status"] for run in run_records(tmp_path)}
    assert found == {"pipes": "unreadable", "run": "finished"}


def test_a_run_is_found_in_its_own_folder_and_runs_can_be_grouped(folder: Path) -> None:
    assert list(search_runs(folder / "first")["run"]) == ["."]
    groups = search_runs(folder, "status != 'unreadable'").groupby("model.filters").size()
    assert dict(groups) == {(4,): 1, (8, 8): 2}


def test_a_run_that_is_taken_up_remembers_its_earlier_starts(tmp_path: Path) -> None:
    make_run(tmp_path / "run", (0.5,), finished=False)
    (tmp_path / "run/checkpoints/10").mkdir(parents=True)
    resolved = {"class_names": ["a", "b"]}
    for _ in range(2):
        open_run_directory(tmp_path / "run", tiny_config(), resolved)
    environment = json.loads((tmp_path / "run/environment.json").read_text())
    assert [start["git_commit"] for start in environment["earlier"]] == ["abc", environment["git_commit"]]
    assert search_runs(tmp_path)["started"][0] == "2026-01-02T03:04:05+0000"


def test_a_real_run(trained: Path) -> None:
    summary = json.loads((trained / "summary.json").read_text())
    (run,) = search_runs(trained).to_dict("records")
    assert run["test_accuracy"] == summary["test_accuracy"]
    assert run["validation_loss"] == summary["validation_loss"]
    assert run["status"] == "finished"
    assert run["best_validation_accuracy"] == summary["validation_accuracy"]


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        ("optimizer.learning_rate > 0.01", ["1", "2"]),
        ("config.optimizer.learning_rate > 0.01 and optimizer.name == 'sgd'", ["1"]),
        ("`optimizer.name` in ('sgd', 'adam')", ["1"]),
        ("optimizer.name not in ['sgd']", ["first", "2"]),
        ("not validation_accuracy >= 0.8", ["1", "2"]),
        ("validation_accuracy == None", ["2"]),
        ("(test_accuracy > 0.1) & (optimizer.learning_rate < 0.01)", ["first"]),
        ("model.filters == (4,) or validation_accuracy - test_accuracy > 0.3", ["first", "2"]),
        ("0.5 < validation_accuracy <= 0.7", ["1"]),
        ("optimizer.momentum == 0.9", ["1"]),
        ("'trials' in run", ["1", "2"]),
        ("epoch / 0 > 1", []),
    ],
)
def test_conditions(folder: Path, text: str, runs: list[str]) -> None:
    found = search_runs(folder, f"({text}) and status != 'unreadable'")
    assert [name[-1] if "/" in name else name for name in found["run"]] == runs


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("optimizer.learning_rat > 1", "did you mean 'optimizer.learning_rate'"),
        ("status = 'finished'", "no condition"),
        ("@pandas.io", "no condition"),
        ("__import__('os').system('touch x')", "may not be in one"),
        ("run.__class__ == 1", "no run has 'run.__class__'"),
        ("run.upper() == 'X'", "may not be in one"),
        ("[r for r in run]", "may not be in one"),
        ("(lambda: 1)() == 1", "may not be in one"),
        ("run > 3", "cannot be compared"),
        ("run * 1000000 == 'x'", "not both numbers"),
        ("1" * 3000, "longer than"),
        ("(" * 500, "no condition"),
    ],
)
def test_conditions_that_are_none(folder: Path, text: str, words: str) -> None:
    with pytest.raises(InputError, match=r"^.*$") as caught:
        search_runs(folder, text)
    assert words in str(caught.value)


def test_arithmetic_cannot_take_forever() -> None:
    assert condition("9 ** 9 ** 9 ** 9 == None", [])({})


def test_order() -> None:
    records = [{"run": name, "x": x, "y": y} for name, x, y in [("a", 1, 2), ("b", None, 1), ("c", 3, 1), ("d", 1, 1)]]

    def names(*order: str) -> str:
        return "".join(record["run"] for record in in_order(records, order))

    assert names("x") == "adcb"
    assert names("-x") == names("x desc") == "cadb"
    assert names("x asc", "-y") == "adcb"
    assert names("x", "y") == "dacb"
    with pytest.raises(InputError, match="no run has 'z'"):
        names("z")
    with pytest.raises(InputError, match="write the name of a column"):
        names("x upwards")


def test_keys_that_differ(folder: Path) -> None:
    records = [record for record in run_records(folder) if record["status"] != "unreadable"]
    keys = differing_keys(records)
    assert {"optimizer.learning_rate", "optimizer.name", "model.filters"} == set(keys)


def test_keys_with_most_values_come_first() -> None:
    """A terminal may not be wide enough for all: what was tuned must be there."""
    records = [{"run": str(k), "batch_size": 32 * (k % 2), "optimizer.learning_rate": 0.1 * k} for k in range(4)]
    assert columns_of(None, records) == ["run", "status", "optimizer.learning_rate", "batch_size"]


def test_runs_script(folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "runs.csv"
    result = script("runs.py", folder, f"--csv={table}", COLUMNS="100")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines[2:4]] == ["first", "sweep/trials/0001"]
    assert max(map(len, lines[:6])) <= 100
    with open(table, newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["run"]: row["validation_accuracy"] for row in rows}["first"] == "0.9"

    result = script("runs.py", folder, "--compare", "first", "sweep/trials/0001")
    assert any(line.split() == ["optimizer.learning_rate", "0.001", "0.1"] for line in result.stdout.splitlines())
    assert not any(line.startswith("batch_size") for line in result.stdout.splitlines())
    result = script("runs.py", folder, "--json", "--filter=status == 'finished'", "--sort=optimizer.learning_rate")
    assert [run["run"] for run in json.loads(result.stdout)] == ["first", "sweep/trials/0001"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["/nowhere"], "there is no such folder"),
        (["{folder}", "--columns=run,tset_accuracy"], "did you mean 'test_accuracy'"),
        (["{folder}", "--compare", "frist"], "did you mean 'first'"),
    ],
)
def test_mistakes(folder: Path, arguments: list[str], words: str) -> None:
    result = script("runs.py", *(argument.format(folder=folder) for argument in arguments))
    assert result.returncode == 2
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


def test_an_empty_folder(tmp_path: Path) -> None:
    assert search_runs(tmp_path, "optimizer.name == 'sgd'", "-x").empty
    assert os.listdir(tmp_path) == []
