"""The page of runs: whole in one file, safe against names, and its figures are the runs'."""

import contextlib
import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnn_jax.commands import runs
from cnn_jax.errors import InputError
from cnn_jax.pages.render import script_json
from cnn_jax.pages.runs import write_runs_page
from cnn_jax.pages.runs.importance import importances
from cnn_jax.pages.runs.study import _axis
from cnn_jax.runs.filtering import in_order
from tests.runs.test_search_runs import make_run
from tests.support.helpers import refusal

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


class Page(HTMLParser):
    """Its scripts, cells of the table, and every attribute that would load something."""

    def __init__(self, text: str):
        super().__init__()
        self.scripts: list[str] = []
        self.rows: list[list[str]] = []
        self.loads: list[str] = []
        self.tags: list[str] = []
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self._open = tag
        self.tags.append(tag)
        self.loads += [str(value) for name, value in attributes if name in ("src", "href", "onerror", "onload")]
        if tag == "script":
            self.scripts.append("")
        elif tag == "tr":
            self.rows.append([])
        elif tag == "td":
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self._open == "script":
            self.scripts[-1] += data
        elif self.rows and self.rows[-1] and self._open in ("td", "span"):
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten runs whose accuracy follows the learning rate and nothing else; others of all kinds."""
    folder = tmp_path_factory.mktemp("sweep")
    rng = np.random.default_rng(0)
    for i, rate in enumerate(10 ** rng.uniform(-4, -1, 10)):
        accuracy = round(0.9 - 0.2 * abs(np.log10(rate) + 2), 6)
        dropout = float(rng.uniform(0, 0.5))
        changes = {"optimizer__learning_rate": float(rate), "model__dropout": dropout, "seed": i % 2}
        make_run(folder / f"trials/{i:04}", (accuracy / 2, accuracy), **changes)
    make_run(folder / "trials/0010", (0.1,), finished=False, optimizer__name="sgd")
    (folder / "sweep.json").write_text(json.dumps({"trials": [{"number": 10, "state": "PRUNED"}]}))
    make_run(folder / "trials/0011", (0.1,))
    (folder / "trials/0011/config.json").write_text("{")
    make_run(folder / f"trials/{HOSTILE.replace('/', '|')}", (0.2,), finished=False, init_from=HOSTILE)
    return folder


@pytest.fixture(scope="module")
def page(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Page, dict[str, Any]]:
    path = write_runs_page(folder, tmp_path_factory.mktemp("page") / "new/runs.html")
    assert [file.name for file in path.parent.iterdir()] == ["runs.html"]
    parsed = Page(path.read_text())
    return parsed, json.loads(parsed.scripts[0])[0]


def test_it_is_one_file_that_loads_nothing(page: tuple[Page, dict[str, Any]]) -> None:
    parsed, _ = page
    assert parsed.loads == []
    assert len(parsed.scripts) == 3  # data, Plotly once, ours
    assert "Plotly" in parsed.scripts[1][:2000] or "plotly.js" in parsed.scripts[1][:200]
    assert "img" not in parsed.tags


def test_names_can_do_nothing(page: tuple[Page, dict[str, Any]]) -> None:
    parsed, data = page
    assert not any("alert" in script for script in parsed.scripts[1:])
    assert any("<script>alert(1)" in row[0].replace("|", "/") for row in parsed.rows if row)  # shown as text
    assert not any("<" in name for name in data["names"])  # Plotly would take it for HTML
    hostile = {"name": "</script><!--\u2028&"}
    assert not re.search(r"[<>&\u2028]", script_json(hostile))
    assert json.loads(script_json(hostile)) == hostile


def test_the_table_is_sorted_and_states_are_marked(folder: Path, page: tuple[Page, dict[str, Any]]) -> None:
    parsed, _ = page
    rows = [row for row in parsed.rows if row]
    assert len(rows) == 13
    accuracies = [float(row[2]) for row in rows if row[2]]
    assert len(accuracies) == 11
    assert accuracies == sorted(accuracies, reverse=True)
    states = {row[0]: row[1] for row in rows}
    assert states["trials/0010"] == "pruned"
    assert states["trials/0011"] == "unreadable"
    assert states["trials/0000"] == "finished"


def test_charts_hold_the_figures_of_the_runs(folder: Path, page: tuple[Page, dict[str, Any]]) -> None:
    _, data = page
    summary = json.loads((folder / "trials/0003/summary.json").read_text())
    config = json.loads((folder / "trials/0003/config.json").read_text())
    i = data["names"].index("trials/0003")
    assert data["values"][i] == summary["validation_accuracy"]
    rate = next(axis for axis in data["axes"] if axis["name"] == "optimizer.learning_rate")
    assert 10 ** rate["values"][i] == pytest.approx(config["optimizer"]["learning_rate"])
    assert dict(zip(rate["texts"], rate["ticks"], strict=True))["0.01"] == -2
    lines = next(run for run in data["curves"]["runs"] if run["name"] == "trials/0003")["lines"]
    assert lines["validation_accuracy"][0] == [1, 2]
    assert lines["validation_accuracy"][1][1] == summary["validation_accuracy"]
    name = next(axis for axis in data["axes"] if axis["name"] == "optimizer.name")
    assert name["texts"] == ["adamw", "sgd"]


def test_what_matters_is_the_most_important(page: tuple[Page, dict[str, Any]]) -> None:
    shares = page[1]["importance"]
    assert next(iter(shares)) == "optimizer.learning_rate"
    assert shares["optimizer.learning_rate"] > 0.5
    assert sum(shares.values()) == pytest.approx(1)


def test_importance_of_thousands_of_runs_takes_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    optuna = pytest.importorskip("optuna")
    monkeypatch.setattr(optuna.study.Study, "add_trials", lambda study, trials: asked.append(len(trials)))
    with contextlib.suppress(InputError, KeyError):  # no trials came
        importances([{"x": i} for i in range(2000)], [i / 2000 for i in range(2000)], "maximize")
    assert 100 < asked[0] <= 300


@pytest.mark.parametrize("numbers", [(1, 2, 3, 4), (0.5, 0.001, 0.1, 0.01), (7,)])
def test_none_among_numbers_has_its_place(numbers: tuple[float, ...]) -> None:
    """`patience` is a number in some runs and None in others; which of the two decides the figure here."""
    settings = [*numbers, None] * 6
    records = [{"patience": value, "other": i // 5} for i, value in enumerate(settings)]
    shares = importances(records, [0.9 if value is None else 0.5 + i / 1e4 for i, value in enumerate(settings)], "min")
    assert shares["patience"] > 0.9
    assert sum(shares.values()) == pytest.approx(1)


def test_axes_of_texts_are_in_order_and_not_full_of_marks() -> None:
    axis = _axis("model.filters", [(16, 32), (8, 16), None, (8, 16)])
    assert (axis["texts"], axis["values"]) == (["(8, 16)", "(16, 32)"], [1, 0, None, 0])
    assert _axis("x", ["b", 1, "a"])["texts"] == ["1", "a", "b"]
    axis = _axis("x", [f"text {i:04}" for i in range(2000)])
    assert len(axis["ticks"]) == len(axis["texts"]) <= 30
    assert axis["texts"][1] == f"text {axis['ticks'][1]:04}"


def test_figures_that_are_not_finite(tmp_path: Path) -> None:
    """JSON inside the page knows neither NaN nor Infinity."""
    for i, value in enumerate(("NaN", "Infinity", "9" * 5000, "0.5")):
        make_run(tmp_path / f"{i}", (0.5,), seed=i)
        (tmp_path / f"{i}/summary.json").write_text(f'{{"validation_accuracy": {value}, "wall_seconds": {value}}}')
        row = f'{{"step": 1, "epoch": {value}, "split": "validation", "accuracy": {value}}}'
        (tmp_path / f"{i}/metrics.jsonl").write_text(row)
    data = json.loads(Page(write_runs_page(tmp_path, tmp_path / "x.html").read_text()).scripts[0])[0]
    assert (data["names"], data["values"]) == (["3"], [0.5])


def test_a_key_of_several_kinds(tmp_path: Path) -> None:
    """`ema_decay` is a number in one run, None in another; a former version's file may hold a text."""
    kinds = (0.9, None, 0.99, "text", None, (1, 2))
    for i, value in enumerate(kinds):
        make_run(tmp_path / f"{i}", (0.5 + i / 100,), seed=i)
        config = json.loads((tmp_path / f"{i}/config.json").read_text()) | {"ema_decay": value}
        (tmp_path / f"{i}/config.json").write_text(json.dumps(config))
    assert "Importance" in write_runs_page(tmp_path, tmp_path / "x.html").read_text()
    for kept in ((0, 1, 2, 4), (0, 1, 3, 5)):
        rows = [{"x": kinds[i]} for i in kept]
        assert importances(rows, [0.1, 0.2, 0.3, 0.4], "maximize") == {"x": 1.0}
    ordered = in_order([{"run": str(i), "x": value} for i, value in enumerate((*kinds, (1, 10)))], ["x"])
    assert [record["run"] for record in ordered] == ["0", "2", "3", "5", "6", "1", "4"]


@pytest.mark.parametrize(
    ("records", "values", "words"),
    [
        ([{"x": 1}, {"x": 2}], [0.1, 0.2], "at least 4 finished runs; there are 2"),
        ([{"x": 1}] * 4, [0.1, 0.2, 0.3, 0.4], "no key differs"),
        ([{"x": i} for i in range(4)], [0.5] * 4, "the same figure"),
    ],
)
def test_importance_that_cannot_be_said(records: list[dict[str, Any]], values: list[float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        importances(records, values, "maximize")


def test_mistakes(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="did you mean 'validation_accuracy'"):
        write_runs_page(folder, tmp_path / "x.html", metric="validation_acuracy")
    with pytest.raises(InputError, match="maximize or minimize"):
        write_runs_page(folder, tmp_path / "x.html", goal="up")
    with pytest.raises(InputError, match="no such folder"):
        write_runs_page(tmp_path / "nowhere", tmp_path / "x.html")
    with pytest.raises(InputError, match="cannot be written"):
        write_runs_page(folder, folder / "sweep.json/x.html")
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    with pytest.raises(InputError, match=r'pip install -e "\.\[sweep\]"'):
        write_runs_page(folder, tmp_path / "x.html")


@pytest.mark.parametrize("flag", ["--metric=validation_acuracy", "--metric=validation_accuracy"])
def test_a_refused_page_prints_no_table(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], flag: str
) -> None:
    """Neither for a mistake nor for a package that is missing, which would be read below a screenful of runs."""
    if "acuracy" not in flag:
        monkeypatch.setitem(sys.modules, "plotly.offline", None)
    assert refusal(runs.main, [str(folder), f"--html={tmp_path / 'x.html'}", f"--csv={tmp_path / 'x.csv'}", flag])
    assert capsys.readouterr().out == ""
    assert not list(tmp_path.glob("x.*"))


def test_no_runs_and_no_finished_runs(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    assert "There are no runs" in write_runs_page(tmp_path / "runs", tmp_path / "a.html").read_text()
    make_run(tmp_path / "runs/a", (), finished=False)
    text = write_runs_page(tmp_path / "runs", tmp_path / "a.html").read_text()
    assert "No run has come to its end yet" in text
    assert "No run has logged an epoch yet" in text


def test_marks_of_an_axis_do_not_overlap() -> None:
    assert _axis("x", [0.00315, 0.00329, 0.009, 0.0003, 0.0003])["texts"] == ["0.0003", "0.00315", "0.009"]
    assert _axis("x", [0.2, 0.3, 0.295])["ticks"] == [0.2, 0.3]
    assert _axis("x", [0.2, 0.2])["ticks"] == [0.2]


def test_each_data_set_has_its_part(tmp_path: Path) -> None:
    """Configs of one data set: intervals, noise, and test figures that wait; folds of another: theirs are shown."""
    digits = {"data": "digits", "fingerprint": "1", "validation_examples": 144, "test_examples": 359}
    for i, (accuracy, rate) in enumerate([(0.99, 0.1), (0.98, 0.1), (0.7, 0.2)]):
        make_run(tmp_path / f"digits{i}", (accuracy,), data=digits, seed=i, optimizer__learning_rate=rate)
    for fold in (0, 1):
        data = {"data": "flowers", "fingerprint": "2"}
        make_run(tmp_path / f"flowers{fold}", (0.9,), data=data, data__folds=2, data__fold=fold)
    text = write_runs_page(tmp_path, tmp_path / "x.html").read_text()
    parsed = Page(text)
    assert [data["names"] for data in json.loads(parsed.scripts[0])] == [
        ["digits0", "digits1", "digits2"], ["flowers0", "flowers1"],
    ]  # fmt: skip
    rows = {row[0]: row for row in parsed.rows if row}
    assert [rows[f"digits{i}"][4] for i in range(3)] == ["luckiest", "within noise", "worse"]
    assert rows["digits0"][3] == "96.2 to 99.9 %"
    assert rows["digits0, +1"][1:4] == ["2 seeds", "0.985", "0.007071"]
    assert rows["flowers0, +1"][1] == "2 folds"
    best = "<p>Best config by mean validation_accuracy: digits0, +1: 0.9850 over 2 seeds (std 0.0071;"
    assert text.count(best) == 1
    assert "<p>The next one, digits2, is 0.2850 behind; it was trained once.</p>" in text
    assert "<p>One run is luck: the best single one is digits0, 0.99.</p>" in text
    assert "<p>Mean validation_accuracy of this config: 0.9000 over 2 folds" in text
    assert text.count('class="study hides-test"') == text.count('class="show-test"') == 1
    for shown in ({"show_test": True}, {"metric": "test_accuracy"}):
        assert "hides-test" not in re.sub("<s(cript|tyle).*?</s(cript|tyle)>", "", _page(tmp_path, **shown), flags=re.S)


def _page(folder: Path, **options: Any) -> str:
    return write_runs_page(folder, folder / "x.html", **options).read_text()
