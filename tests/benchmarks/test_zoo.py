"""The page of all published networks: its arithmetic is the code's, and its times are measured by turns."""

import argparse
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks import flags, machine, timing, zoo, zoo_page
from cnn_jax.config.model_keys import MODELS
from cnn_jax.errors import InputError
from tests.support.helpers import ROOT, refusal
from tests.support.torch_logits import RECORDED

PAGE = ROOT / "docs/zoo.md"
QUICK = ("lenet5", "resnet20", "alexnet", "alexnet_2012", "mobilenet_v2", "efficientnet_lite0", "vit_tiny")


def times(predict: float, train: float = 9.0, torch: float | None = None, **more: Any) -> zoo.Times:
    peer = {} if torch is None else {"torch": [torch, torch + 1]}
    of_call = [{"cnn_jax": [own + 1, own]} | peer for own in (predict, train)]
    return zoo.Times(*of_call, **{"machine": "here", "busy": 0.01} | more)


def rows_of_page() -> dict[str, list[str]]:
    """Of the ledger: the cells of each network."""
    ledger = PAGE.read_text().partition("<!-- ledger -->")[2].partition("<!-- end of ledger -->")[0]
    rows = [line.strip("| ").split(" | ") for line in ledger.splitlines() if line.startswith("| `")]
    return {row[0].strip("`"): row for row in rows}


def test_the_page_has_all_published_networks() -> None:
    assert list(rows_of_page()) == list(zoo.NETWORKS)
    assert set(MODELS) - set(zoo.NETWORKS) == {"linear", "mlp", "cnn"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in zoo.NETWORKS]
)
def test_the_row_is_what_the_code_says(name: str) -> None:
    stored = zoo.read_times(PAGE.with_suffix(".json"))
    assert rows_of_page()[name] == zoo_page.ledger_row(name, stored.get(name))


@pytest.mark.slow
def test_the_page_is_what_the_command_makes() -> None:
    assert zoo_page.make_page(PAGE.read_text(), zoo.read_times(PAGE.with_suffix(".json"))) == PAGE.read_text()


def test_a_row_has_what_is_published() -> None:
    """By hand: torchvision's counts and accuracies of MobileNetV2, the paper's of AlexNet, whose images have 227."""
    row = zoo_page.ledger_row("mobilenet_v2", times(5.04, 20, 10))
    assert row[:4] == ["`mobilenet_v2`", "224x224x3", "3,504,872", "300,774,272"]
    assert row[8:] == [
        "`mobilenet_v2` 71.878 (torchvision, package), `mobilenet_v2.v2` 72.154 (torchvision)", "torchvision, timm",
    ]  # fmt: skip
    assert row[4:8] == ["5.04", "10 (2.0x)", "20", "10 (0.5x)"]
    row = zoo_page.ledger_row("alexnet_2012", None)
    assert row[1:4] == ["227x227x3", "60,965,224", "724,406,816"]
    assert row[4:] == [*["-"] * 4, "59.3 (Krizhevsky et al. 2012, from memory)", "-"]


def test_choices_are_the_quickest_of_their_accuracy() -> None:
    """Lite0 is slower than MobileNetV2 and better; the large ResNet no better than it."""
    measured = {"mobilenet_v2": times(5), "efficientnet_lite0": times(8), "resnet18": times(9), "resnet20": times(1)}
    rows = [line.strip("| ").split(" | ") for line in zoo_page.choices(measured).splitlines()]
    assert [row[0] for row in rows[2:]] == ["`mobilenet_v2.v2`", "`efficientnet_lite0`"]
    assert rows[3] == ["`efficientnet_lite0`", "`efficientnet_lite0`", "224, bicubic", "75.1", "8", "9", "4.7 M",
                       "Google, package"]  # fmt: skip


def test_machines_are_named_with_their_networks() -> None:
    one = {"lenet5": times(1), "vgg11": times(1, busy=0.04)}
    assert zoo_page.machines(one) == "- here; quiet: other work took 1% to 4% of its cores meanwhile"
    lines = zoo_page.machines(one | {"vgg13": times(1, machine="there", busy=0.4)}).splitlines()
    assert lines[0].endswith("meanwhile: `lenet5`, `vgg11`")
    assert lines[1] == "- there; busy: other work took 40% of its cores meanwhile: `vgg13`"
    assert zoo_page.machines({"lenet5": times(1, busy=None)}) == "- here; what else it did is not known"


def test_tables_are_made_anew_in_their_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo_page, "NETWORKS", ("lenet5",))
    places = [f"<!-- {name} -->\nold\n<!-- end of {name} -->\n" for name in ("choices", "ledger", "machine")]
    page = zoo_page.make_page("one\n" + "two\n".join(places) + "three\n", {"lenet5": times(1.5)})
    assert "old" not in page
    assert "| `lenet5` | 28x28x1 | 61,706 | 416,520 | 1.5 | - | 9 | - | - | - |" in page
    assert re.findall(r"^(?:one|two|three)$", page, re.MULTILINE) == ["one", "two", "two", "three"]
    assert zoo_page.make_page(page, {"lenet5": times(1.5)}) == page
    assert "no place for the machine; it needs the lines" in refusal(zoo_page.make_page, "".join(places[:2]), {})


def test_a_run_that_was_cut_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    timed: list[str] = []

    def time_network(name: str, *settings: Any) -> zoo.Times:
        timed.append(name)
        if name == "alexnet" and timed.count(name) == 1:
            raise InputError("cut")
        return times(len(timed))

    monkeypatch.setattr(zoo, "time_network", time_network)
    monkeypatch.setattr(zoo, "NETWORKS", ("lenet5", "alexnet", "vgg11"))
    monkeypatch.setattr(zoo_page, "NETWORKS", ("lenet5", "alexnet", "vgg11"))
    page = tmp_path / "page.md"
    page.write_text(PAGE.read_text())
    (tmp_path / "other.md").write_text("no tables")
    assert "no place for the choices" in refusal(zoo.measure_zoo, timing.Settings([], 3, page=f"{tmp_path}/other.md"))
    settings = timing.Settings([], 3, page=str(page))
    with pytest.raises(InputError, match="cut"):
        zoo.measure_zoo(settings)
    zoo.measure_zoo(settings)
    assert timed == ["lenet5", "alexnet", "alexnet"]  # nor VGG-11, which takes long
    (table,) = zoo.measure_zoo(settings._replace(networks=("lenet5",)))
    assert timed[3:] == ["lenet5"]
    assert [row[3] for row in table["rows"]] == [4, 3, "-"]
    assert zoo.read_times(page.with_suffix(".json")) == {"lenet5": times(4), "alexnet": times(3)}
    assert "| `alexnet` | 224x224x3 | 61,100,840 |" in page.read_text()


class FakeContestant:
    """One whose calls take 2 ms an image, and more by turns."""

    def __init__(self, name: str, words: Sequence[str]):
        self.name, self.words, self._turns = name, words, 0

    def wait(self) -> dict[str, Any]:
        return {"parameters": 7} | ({"version": "2.14"} if self.name == "torch" else {})

    def turn(self, call: str, seconds: float, cpu_time: bool) -> float:
        self._turns += 1
        return (1.0 if cpu_time else 2.0) * int(call.partition(":")[2]) + self._turns


def test_a_network_is_timed_beside_pytorchs(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Mapping[str, Sequence[str]]] = []

    @contextmanager
    def started(words: Mapping[str, Sequence[str]]) -> Iterator[list[FakeContestant]]:
        asked.append(words)
        yield [FakeContestant(*each) for each in words.items()]

    monkeypatch.setattr(zoo, "started", started)
    measured = zoo.time_network("resnet18", 2, "python")
    assert asked[0]["torch"][0] == "python"
    assert asked[0]["torch"][2:] == ["torchvision:resnet18", "224x224x3", "predict:8,train:8"]
    assert asked[0]["cnn_jax"][-4:] == [
        "resnet18", "224x224x3", "predict:8,train:8", "model.small_images=False",
    ]  # fmt: skip
    assert measured.predict == {who: [2.125, 2.375] for who in ("cnn_jax", "torch")}
    assert measured.train["torch"] == [2.25, 2.5]
    assert ", time of the clock, jax 0." in measured.machine
    assert ", PyTorch 2.14, 20" in measured.machine
    alone = zoo.time_network("resnet20", 2, "python", cpu_time=True)
    assert ", processor time, jax 0." in alone.machine
    assert alone.predict == {"cnn_jax": [round(1 + 1 / 128, 3), round(1 + 3 / 128, 3)]}
    assert list(asked[1]) == list(alone.train) == ["cnn_jax"]
    assert asked[1]["cnn_jax"][-1] == "predict:128,train:128"


def test_peers_are_those_whose_logits_agree() -> None:
    """Each is the library's network that recorded logits say is the same."""
    peers = {name: peer for name, peer in zoo.PEERS.items() if peer and name != "lenet5"}
    assert {name: RECORDED[peer.replace(":", "_")] for name, peer in peers.items()} == {
        name: (name, {}) for name in peers
    }
    assert set(zoo.PEERS) == set(zoo.NETWORKS)


def test_what_others_took_of_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of 4 cores for 10 s all are busy for 12 s more, which is 1200 ticks; 2 s of them are this process's."""
    stat, clock, own = tmp_path / "stat", iter((100.0, 110.0)), iter((5.0, 7.0))
    monkeypatch.setattr(machine, "_STAT", stat)
    monkeypatch.setattr(machine.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(machine, "_own_seconds", lambda: next(own))
    monkeypatch.setattr(machine.os, "cpu_count", lambda: 4)
    monkeypatch.setattr(machine.os, "sysconf", lambda name: 100)
    stat.write_text("cpu  1000 0 500 90000 700 0 0 30 11 0\ncpu0 1 2 3\n")
    share = machine.watch_others()
    stat.write_text("cpu  1900 0 700 99000 900 0 0 130 99 0\ncpu0 1 2 3\n")
    assert share() == pytest.approx((12 - 2) / 40)
    monkeypatch.undo()
    monkeypatch.setattr(machine, "_STAT", tmp_path / "none")
    assert machine.watch_others()() is None


def test_flags_of_the_zoo(tmp_path: Path) -> None:
    usual = {
        "only": "zoo", "configs": None, "photos": None, "networks": "vgg16", "torch_python": None, "rounds": 7,
        "seeds": 3, "output": str(tmp_path / "new"), "page": str(PAGE), "cpu_time": True,
    }  # fmt: skip
    settings = flags.read_settings(argparse.Namespace(**usual))
    assert (settings.networks, settings.page, settings.cpu_time) == (("vgg16",), str(PAGE), True)
    for change, words in (
        ({"networks": "cnn"}, "there is no cnn; there are lenet5, resnet18"),
        ({"only": "steps", "networks": None, "page": None}, "--cpu_time: only the zoo is timed so"),
        ({"only": "steps", "networks": None}, "zoo.md: only the zoo has a page; say --only=zoo"),
        ({"page": "none.md"}, "--page=none.md: there is no such file; docs/zoo.md is one"),
    ):
        assert words in refusal(flags.read_settings, argparse.Namespace(**usual | change))
