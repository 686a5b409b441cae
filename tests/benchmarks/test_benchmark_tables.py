"""The arithmetic of benchmarks whose runs are long, with clocks and processes that are made up."""

import argparse
import ast
import io
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from PIL import Image

import benchmarks
from benchmarks import contestant, flags, growth, inference, mnist, processes, start, timing, turns
from cnn_jax.errors import InputError
from tests.support.helpers import ROOT

TINY = """
import sys
sys.path.insert(0, {root!r})
from tests.support.helpers import tiny_config
def get_config():
    return tiny_config(model__name="linear", optimizer__name="sgd", augment=())
"""
SHAPE = (8, 8, 1)


class FakeContestant:
    """One whose calls take so many milliseconds for each image of a batch."""

    def __init__(self, name: str, each: float):
        self.name, self._each, self._said = name, each, {"parameters": 7, "multiply_adds": 1000}
        self.turns: Counter[str] = Counter()

    def wait(self) -> dict[str, Any]:
        return self._said

    def turn(self, call: str, seconds: float) -> float:
        self.turns[call] += 1
        return self._each * int(call.partition(":")[2])


def test_turns_are_what_was_asked_for(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    calls: Counter[str] = Counter()
    ready = {name: lambda name=name: calls.update([name]) for name in ("train:4", "predict:1")}
    monkeypatch.setattr(sys, "stdin", io.StringIO("predict:1 0.0\nmemory\npredict:1 0.0 cpu\n"))
    monkeypatch.setattr(turns.time, "process_time", iter((2.0, 2.5, 7.0)).__next__)
    turns.serve(ready, {"parameters": 5}, lambda: 12)
    about, answer, memory, of_processors = map(json.loads, capsys.readouterr().out.splitlines())
    assert about["parameters"] == 5
    assert set(about["first_ms"]) == set(ready)
    assert 0 < answer < 1000
    assert memory["program"] == 12
    assert of_processors == 5000
    assert calls == {"train:4": 2, "predict:1": 4}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps this account")
def test_the_peak_of_memory_is_that_of_the_process_itself() -> None:
    """Not, as getrusage() has it, at least the one of the process that started it."""
    tell = "from turns import peak_bytes; import subprocess, sys; sys.stdout.write(f'{peak_bytes()} ')"
    large = f"large = bytes(1) * 300_000_000; sys.stdout.flush(); subprocess.run([sys.executable, '-c', {tell!r}])"
    result = subprocess.run(
        [sys.executable, "-c", f"{tell}; {large}; {tell}"], capture_output=True, text=True, check=True,
        cwd=Path(turns.__file__).parent,
    )  # fmt: skip
    before, child, after = map(int, result.stdout.split())
    assert before < 100e6
    assert child < 100e6
    assert 300e6 < after < 400e6


def test_the_benchmark_of_inference(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    there = [FakeContestant("cnn_jax", 2.0), FakeContestant("torch", 4.0)]

    @contextmanager
    def made_up(*arguments: Any) -> Iterator[list[FakeContestant]]:
        asked.append(arguments)
        yield there

    monkeypatch.setattr(inference, "contestants", made_up)
    settings = timing.Settings([], 5, torch_python="there", networks=("lenet5", "resnet50"))
    (table,) = inference.measure_inference(settings)
    calls = ["predict:1", "predict:32", "predict:256", "evaluate:256"]
    few = ["predict:1", "predict:32", "evaluate:32"]
    expected = [("lenet5", (28, 28, 1), calls, "there"), ("resnet50", (224, 224, 3), few, "there")]
    assert asked == expected
    assert len(table["rows"]) == 2 * (len(calls) + len(few))
    assert table["rows"][5] == ["lenet5", "predict", 256, "torch", 1024.0, "1.02e+03 to 1.02e+03", 250.0, 2.0]
    # Of what takes PyTorch more than a second there are 3 turns, for both; the small batches are those of two networks.
    for one in there:
        assert one.turns == {"predict:1": 10, "predict:32": 10, "evaluate:32": 5, "predict:256": 3, "evaluate:256": 3}


def test_what_is_timed_as_inference_is_inference() -> None:
    batch = contestant.made_up_batch(6, SHAPE)
    calls = [("predict", 6), ("train", 6), ("evaluate", 6)]
    ready, about, _ = contestant.own_calls("cnn", SHAPE, calls, ["model.filters=(2,)", "model.hidden=()"])
    assert list(ready) == ["predict:6", "train:6", "evaluate:6"]
    # 3x3 convolution of 1 to 2 maps of 8x8 without bias, its norm, and 4*4*2 features to 10 classes
    assert about == {"parameters": 18 + 4 + 330, "multiply_adds": 64 * 18 + 320}
    for call in ready.values():
        call()
    with jax.default_matmul_precision("float32"):
        state = contestant.make_step("lenet5", 0.1, 0.9)[0](jnp.zeros((1, 28, 28, 1)))
        batch = contestant.made_up_batch(6, (28, 28, 1))
        theirs = contestant.make_inference("lenet5")
        logits = theirs["predict"](state, batch)
        loss, hits = theirs["evaluate"](state, batch)
    assert logits.shape == (6, 10)
    assert hits == (logits.argmax(1) == batch["label"]).sum()
    losses = optax.softmax_cross_entropy_with_integer_labels(jnp.asarray(logits), batch["label"])
    assert loss == pytest.approx(float(losses.sum()), rel=1e-5)


def test_the_benchmark_of_growth(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Fake(FakeContestant):
        """Takes 3 ms and 2 for each image; compiling takes half a second."""

        def __init__(self, name: str, words: Sequence[str], environment: Mapping[str, str]):
            super().__init__(name, 2.0)
            assert environment == {"JAX_ENABLE_COMPILATION_CACHE": "0"}
            assert words[-3:] == ["model.filters=(16, 32)", "model.convs_per_block=1", "model.hidden=()"]
            self._said["first_ms"] = {call: 500 + self.turn(call, 0) for call in (words[-4],)}

        def turn(self, call: str, seconds: float) -> float:
            return 3 + super().turn(call, seconds)

        def memory(self) -> dict[str, int]:
            return {"peak": 4_000_000, "program": 2_000_000}

        def close(self) -> None: ...

    monkeypatch.setattr(growth, "Contestant", Fake)
    monkeypatch.setattr(growth, "_AXES", {"batch": [("32", 32, {}), ("64", 64, {})]})
    (table,) = growth.measure_growth(timing.Settings([], 3, output=str(tmp_path)))
    each = (131 / 64) / (67 / 32)  # milliseconds a multiply-add, of the second by the first
    assert table["rows"] == [
        ["batch", "32", 0.032, 67.0, "67 to 67", pytest.approx(32 / 0.067), 1.0, pytest.approx(0.5), 4, 2],
        ["batch", "64", 0.064, 131.0, "131 to 131", pytest.approx(64 / 0.131), pytest.approx(each), 0.5, 4, 2],
    ]
    with Image.open(tmp_path / "growth.png") as picture:
        assert min(picture.size) > 300


@pytest.mark.slow
def test_the_benchmark_of_starting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of a real training with an empty cache; the one with a warm cache is its copy."""
    (tmp_path / "tiny.py").write_text(TINY.format(root=str(ROOT)))
    monkeypatch.setattr(start, "_IMPORTS", {"python itself": ["-c", "pass"]})
    trained: list[tuple[str, str | None]] = []

    def run(name: str, words: Sequence[str], environment: Any = None) -> tuple[float, list[str]]:
        if name != "scripts/train.py":
            return processes.run(name, words, environment)
        assert environment["JAX_COMPILATION_CACHE_DIR"] is None
        trained.append((words[3], environment["XDG_CACHE_HOME"]))
        if len(trained) == 1:
            return processes.run(name, words, environment)
        Path(words[3]).write_text(Path(trained[0][0]).read_text())
        return 0.5, []

    monkeypatch.setattr(start, "run", run)
    imports, trainings, programs = start.measure_start(timing.Settings([str(tmp_path / "tiny.py")], 1))
    assert imports["rows"][0][0] == "python itself"
    assert [row[:2] for row in trainings["rows"]] == [["tiny", "empty"], ["tiny", "warm"]]
    empty, warm = trainings["rows"]
    assert empty[2] > empty[4] + empty[5] + empty[6] > 0  # the whole process, tracing, lowering, compiling
    assert empty[7] == sum(times for _, _, times in programs["rows"])
    assert warm == ["tiny", "warm", 0.5, "0.5 to 0.5", *empty[4:]]
    assert ["tiny", "jit(eval_step)", 1] in programs["rows"]
    assert trained[0][1] == trained[1][1]
    assert trained[0][0] != trained[1][0]


def test_the_benchmark_of_mnist(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of the digits: a test split of 360 and all others to PyTorch; each training has an empty folder for programs."""
    (tmp_path / "tiny.py").write_text(TINY.format(root=str(ROOT)))
    order: list[str] = []

    def made_up(name: str, words: Sequence[str], environment: Any = None) -> tuple[float, list[str]]:
        if name == "torch_mnist.py":
            with np.load(words[2]) as arrays:
                sizes = {key: array.shape for key, array in arrays.items()}
            assert sizes["train_images"] == (1797 - sizes["test_labels"][0], 8, 8, 1)
            assert sizes["train_images"][0] == sizes["train_labels"][0]
            order.append("torch")
            lines = [{"seconds": 10.0, "accuracy": 0.98}, {"seconds": 30.0, "accuracy": 0.985}]
            return 31.0, [json.dumps({"epoch": 1, **line}) for line in lines]
        assert not Path(environment["JAX_COMPILATION_CACHE_DIR"]).exists()
        given = dict(word.split("=") for word in words[2:])
        seed, workdir = int(given["--config.seed"]), Path(given["--workdir"])
        workdir.mkdir()
        (workdir / "summary.json").write_text(json.dumps({"test_accuracy": (0.98, 0.985, 0.991)[seed]}))
        order.append(f"{seed}")
        return 6.0 + seed, []

    monkeypatch.setattr(mnist, "run", made_up)
    settings = timing.Settings([str(tmp_path / "tiny.py")], 1, torch_python="there", seeds=3)
    own, torch, compared = mnist.measure_mnist(settings)
    assert order == ["0", "torch", "1", "2"]
    assert own["rows"][3:] == [["median, mean", 7.0, "98.53%"], ["range", "6 to 8", "98.00% to 99.10%"]]
    assert own["runs"][2] == {"seconds": 8.0, "accuracy": 0.991}
    assert [row[:2] for row in torch["rows"]] == [["1", 10.0], ["2", 30.0]]
    assert compared["rows"][0] == ["98.50%", 7.0, "2 of 3", 30.0, pytest.approx(30 / 7)]
    assert compared["rows"][1] == ["99.00%", "not reached", "1 of 3", "not reached", ""]


def test_a_process_that_fails_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="sums failed: no sum"):
        processes.run("sums", [sys.executable, "-c", "raise SystemExit('well\\nno sum')"])
    monkeypatch.setenv("GONE", "1")
    code = "import os; print(os.environ.get('GONE'), os.environ['NEW'])"
    seconds, lines = processes.run("names", [sys.executable, "-c", code], {"GONE": None, "NEW": "2"})
    assert lines == ["None 2"]
    assert seconds > 0


def test_flags_are_checked(tmp_path: Path) -> None:
    usual = {
        "only": None, "configs": None, "photos": None, "networks": None, "torch_python": None, "rounds": 7, "seeds": 3,
        "output": str(tmp_path / "new"), "page": None, "cpu_time": False,
    }  # fmt: skip
    settings = flags.read_settings(argparse.Namespace(**usual | {"configs": "digits,mnist_cnn", "networks": "cnn"}))
    assert settings.configs == settings.chosen("c.py") == ["digits", "mnist_cnn"]
    assert settings.networks == ("cnn",)
    assert (tmp_path / "new").is_dir()
    assert timing.Settings([], 1).chosen("digits.py") == [str(ROOT / "configs/digits.py")]
    (tmp_path / "file").write_text("")
    for change, words in (
        ({"rounds": 0}, "--rounds=0: it must be at least 1"),
        ({"seeds": -1}, "--seeds=-1: it must be at least 1"),
        ({"networks": "lenet"}, "there is no lenet; there are lenet5, cnn"),
        ({"output": str(tmp_path / "file")}, "file: it cannot be written"),
    ):
        with pytest.raises(InputError, match=words):
            flags.read_settings(argparse.Namespace(**usual | change))


def test_what_cannot_be_measured_is_left_out_of_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(settings: timing.Settings) -> Any:
        raise InputError("no data")

    tables = [{"title": "there"}]
    monkeypatch.setattr(benchmarks, "BENCHMARKS", {"data": fails, "steps": lambda settings: tables})
    assert list(benchmarks.measure(timing.Settings([], 1), None)) == [("steps", tables)]
    with pytest.raises(InputError, match="no data"):
        list(benchmarks.measure(timing.Settings([], 1), "data"))


@pytest.mark.parametrize("name", ["torch_contestant.py", "torch_mnist.py", "turns.py"])
def test_pytorchs_processes_need_nothing_of_this_package(name: str) -> None:
    tree = ast.parse((Path(turns.__file__).parent / name).read_text())
    modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    modules |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    theirs = {"numpy", "timm", "torch", "torchvision", "turns"}
    assert {module.split(".")[0] for module in modules} <= theirs | sys.stdlib_module_names
