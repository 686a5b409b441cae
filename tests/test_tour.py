"""docs/tour.ipynb: its cells run, and what is stored beside them is what they gave."""

import base64
import dataclasses
import io
import itertools
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cnn_jax.config import register
from cnn_jax.config.keys import KEYS, MODELS
from tests.support.helpers import ROOT

TOUR = ROOT / "docs/tour.ipynb"

# A page for people shows figures and opens pictures as one does; where there is no page, both are warned of.
pytestmark = pytest.mark.filterwarnings(
    "ignore:FigureCanvasAgg is non-interactive:UserWarning", "ignore:unclosed file:ResourceWarning"
)


@pytest.fixture(scope="module")
def tour() -> dict[str, Any]:
    return json.loads(TOUR.read_text())


def sources(tour: dict[str, Any], kind: str) -> list[str]:
    return ["".join(cell["source"]) for cell in tour["cells"] if cell["cell_type"] == kind]


def outputs(tour: dict[str, Any]) -> list[dict[str, Any]]:
    return [output for cell in tour["cells"] if cell["cell_type"] == "code" for output in cell["outputs"]]


@pytest.fixture
def run_cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[list[str]], dict[str, Any]]]:
    """Runs cells in order, in one program, from an empty folder, on one device; gives the names that they leave."""
    import matplotlib
    from matplotlib import pyplot

    def run(cells: list[str]) -> dict[str, Any]:
        names: dict[str, Any] = {"__name__": "tour"}
        for number, source in enumerate(cells, start=1):
            exec(compile(source, f"cell {number}", "exec"), names)
        return names

    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(register, "_registered", {})
    monkeypatch.setitem(KEYS, "parallel.devices", dataclasses.replace(KEYS["parallel.devices"], default=1))
    yield run
    pyplot.close("all")
    MODELS.pop("patchnet", None)


def test_its_first_half_runs(tour: dict[str, Any], run_cells: Callable[..., dict[str, Any]]) -> None:
    """With a smaller model for one epoch: until it goes to other models. What the rest imports is there."""
    small = "config.num_epochs, config.model.filters, config.model.convs_per_block = 1, (8, 8), 1"
    cells = [cell.replace("config.num_epochs = 15", small) for cell in sources(tour, "code")]
    assert sum(small in cell for cell in cells) == 1
    first = list(itertools.takewhile(lambda cell: "class PatchNet" not in cell, cells))
    imports = [line for cell in cells for line in cell.splitlines() if re.match("(from|import) ", line)]
    names = run_cells([*first, *imports])
    assert names["summary"]["epochs"] == 1
    assert names["run"].predict("runs/tour/new.png").class_names == tuple("0123456789")


@pytest.mark.slow
def test_it_runs(tour: dict[str, Any], run_cells: Callable[..., dict[str, Any]]) -> None:
    """As it stands, and what it says comes true."""
    names = run_cells(sources(tour, "code"))
    assert names["figures"]["accuracy"] > 0.97
    assert 5 < names["summary"]["epochs"] < 20, "the callback ended it"
    assert not Path("runs/tour/refused").exists()
    assert 0.001 < names["finding"].learning_rate < 0.1
    assert set(names["table"]["run"]) == {"sgd", "adamw", "muon"}
    assert names["table"]["validation_accuracy"].min() > 0.85


def test_it_is_a_whole_notebook(tour: dict[str, Any]) -> None:
    """Of nbformat 4.5; run from its first cell to its last, without a fault or a warning."""
    assert (tour["nbformat"], tour["nbformat_minor"]) == (4, 5)
    assert tour["metadata"]["kernelspec"]["name"] == "python3"
    assert {cell["cell_type"] for cell in tour["cells"]} == {"markdown", "code"}
    identities = [cell["id"] for cell in tour["cells"]]
    assert len(set(identities)) == len(identities)
    run = [cell for cell in tour["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in run] == list(range(1, len(run) + 1))
    assert all(output["output_type"] in ("stream", "display_data", "execute_result") for output in outputs(tour))
    assert not [output for output in outputs(tour) if output.get("name") == "stderr"]
    assert not [output for output in outputs(tour) if "\r" in "".join(output.get("text", []))], "pieces of bars"


def test_its_pictures_are_stored(tour: dict[str, Any]) -> None:
    stored = [output["data"]["image/png"] for output in outputs(tour) if "image/png" in output.get("data", {})]
    assert len(stored) >= 7
    for picture in stored:
        with Image.open(io.BytesIO(base64.b64decode(picture))) as opened:
            assert opened.convert("L").getextrema()[0] < 100 < 200 < opened.convert("L").getextrema()[1]
    assert TOUR.stat().st_size < 600_000


def test_it_names_no_machine(tour: dict[str, Any]) -> None:
    """Whose folders are in what it prints; its links lead somewhere."""
    text = json.dumps([{**output, "data": {**output.get("data", {}), "image/png": "", "image/jpeg": ""}}
                       for output in outputs(tour)])  # fmt: skip
    assert not re.findall(r"/(?:home|root|tmp|usr|work|Users|opt)/", text)
    links = re.findall(r"\]\(([^)#]+)\)", "\n".join(sources(tour, "markdown")))
    assert len(links) >= 4
    assert not [link for link in links if not (TOUR.parent / link).exists()]
