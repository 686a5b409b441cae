"""What wandb's agent passes to scripts/train.py: the same words as from wandb's own code, and the values in the run."""

import json
import os
import runpy
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cnn_jax.cli import command_line
from cnn_jax.cli.signals import Shutdown
from cnn_jax.config.overrides import split
from cnn_jax.config.tree import flatten, load_config, override, to_json
from cnn_jax.errors import InputError
from cnn_jax.tuning.search.draws import draw
from cnn_jax.tuning.sweeps.agent_command import ARGUMENT_MACROS
from cnn_jax.tuning.sweeps.check import METRICS
from cnn_jax.tuning.sweeps.file import Sweep, check_against_config, command, flags, read_sweep
from tests.support.helpers import ROOT, read_json

# Every kind of value in every notation: nested blocks, lists, booleans, None, text, floats, whole numbers.
EVERY_KIND = """
program: scripts/train.py
method: random
parameters:
  config.optimizer:
    parameters:
      learning_rate: {distribution: log_uniform_values, min: 1.0e-3, max: 1e-2}
      weight_decay: {distribution: log_normal, mu: -6}
      b1: {min: 0.85, max: 0.95}
      b2: {distribution: q_uniform, min: 0.9, max: 0.999, q: 0.001}
      eps: {value: .5e-6}
      clip_norm: {value: null}
  config.optimizer.decay_bias_and_norm: {values: [true]}
  config.tracking.tensorboard: {value: false}
  config.model:
    parameters:
      filters: {values: [[4, 8], [8, 4]]}
      hidden: {value: []}
      kernel_size: {value: 3}
      norm: {value: none}
  config:
    parameters:
      parallel: {parameters: {devices: {value: 1}}}
      loss: {parameters: {label_smoothing: {distribution: beta, a: 2, b: 20}}}
  config.batch_size: {distribution: q_log_uniform_values, min: 128, max: 256, q: 64}
  config.eval_batch_size: {min: 400, max: 600}
  config.seed: {distribution: q_normal, mu: 1000, sigma: 100}
  config.num_epochs: {value: 1}
  config.augment: {values: [[], [[flip, 0.5], [translate, 1]]]}
  config.data: {value: {validation: 0.15, name: null}}
  config.precision: {values: [float32]}
  config.ema_decay: {value: ~}
  config.checkpoint.every: {value: 2}
  config.tracking.wandb: {value: "off"}
"""
FIXED = ["--config=configs/digits.py", "--config.schedule.name=StepLR", "--config.model.convs_per_block=1"]
RUN = "ab12cd34"


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Sweep]:
    def make(content: str = EVERY_KIND, words: list[str] | None = None) -> Sweep:
        path = tmp_path / "sweep.yaml"
        path.write_text(f"{content}\ncommand: {json.dumps(words)}" if words else content)
        return read_sweep(path)

    return make


def with_macro(macro: str) -> list[str]:
    return ["${env}", "${interpreter}", "${program}", *FIXED, f"${{{macro}}}"]


def as_the_server_sends(blocks: Mapping[str, Any], values: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """The `parameters` of the file with a value in the place of each."""
    sent = {}
    for name, block in blocks.items():
        here = f"{path}{name}"
        inner = block.get("parameters")
        sent[name] = values[here] if inner is None else as_the_server_sends(inner, values, f"{here}.")
    return sent


def wandbs_command(
    sweep: Sweep, values: Mapping[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[str], dict[str, str]]:
    """The command and the environment with which wandb's own agent would start the trial; nothing is started."""
    from wandb import wandb_agent

    monkeypatch.setenv("WANDB_DIR", str(folder))
    monkeypatch.setenv("WANDB_SWEEP_ID", "sweep1")
    monkeypatch.setenv("WANDB_RUN_ID", "")  # the agent sets these two itself; they are undone with the others
    monkeypatch.setenv("WANDB_SWEEP_PARAM_PATH", "")
    started: list[Any] = []

    def process(command: list[str], env: dict[str, str], forward_signals: bool) -> SimpleNamespace:
        started.append((command, env))
        return SimpleNamespace()

    monkeypatch.setattr(wandb_agent, "AgentProcess", process)
    agent = object.__new__(wandb_agent.Agent)
    agent.__dict__ |= {
        "_in_jupyter": False, "_function": None, "_forward_signals": False, "_run_processes": {},
        "_sweep_command": list(sweep.content.get("command", [])),
    }  # fmt: skip
    sent = as_the_server_sends(sweep.content["parameters"], values)
    agent._command_run(
        {"run_id": RUN, "program": sweep.program, "args": {name: {"value": one} for name, one in sent.items()}}
    )
    ((words, environment),) = started
    return words, environment


@pytest.mark.parametrize("macro", [None, *ARGUMENT_MACROS])
def test_the_command_is_the_one_of_wandbs_agent(
    macro: str | None, read: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = read(words=with_macro(macro) if macro else None)
    for number in range(3):
        values = draw(sweep, 0, number)
        words, environment = wandbs_command(sweep, values, tmp_path, monkeypatch)
        json_file = tmp_path / "wandb/sweep-sweep1" / f"config-{RUN}.json"
        assert command(sweep, values, "python", json_file) == words
        assert environment["WANDB_RUN_ID"] == RUN
        assert environment["WANDB_SWEEP_ID"] == "sweep1"
        if macro in (None, "args"):
            assert words[-len(flags(sweep, values)) :] == flags(sweep, values)


def test_environment_variables_and_numbers_in_a_command(
    read: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRST", "one")
    monkeypatch.delenv("SECOND_2", raising=False)
    words = ["nice", "-n", 10, "${interpreter}", "${program}", "--x=${envvar:FIRST}-${envvar:SECOND_2}", "${args}"]  # type: ignore[list-item]
    sweep = read(words=words)
    values = draw(sweep, 0, 0)
    expanded = command(sweep, values, "python")
    assert expanded == wandbs_command(sweep, values, tmp_path, monkeypatch)[0]
    assert expanded[:6] == ["nice", "-n", "10", "python", "scripts/train.py", "--x=one-SECOND_2"]


def test_a_file_of_arguments_needs_a_place(read: Any, tmp_path: Path) -> None:
    sweep = read(words=with_macro("args_json_file"))
    with pytest.raises(InputError, match="here write"):
        command(sweep, draw(sweep, 0, 0), "python")


def parsed(words: list[str]) -> Any:
    parser = command_line.Parser(None, with_config=True)
    parser.add_argument("--workdir")
    arguments = parser.parse(words[words.index("scripts/train.py") + 1 :])
    return parser.load_config(arguments.config)


@pytest.mark.parametrize("macro", ARGUMENT_MACROS)
def test_every_macro_sets_the_same_config(macro: str, read: Any, tmp_path: Path) -> None:
    sweep = read(words=with_macro(macro))
    check_against_config(sweep, 20)
    for number in range(5):
        values = draw(sweep, 1, number)
        config = parsed(command(sweep, values, "python", tmp_path / "x.json"))
        pairs = [(name.removeprefix("config."), value) for name, value in values.items()]
        assert config == override(load_config(ROOT / "configs/digits.py"), [*split(FIXED)[1], *pairs])
        assert config.optimizer.learning_rate == values["config.optimizer.learning_rate"]
        assert config.optimizer.decay_bias_and_norm is True
        assert config.model.filters == tuple(values["config.model.filters"])
        assert config.optimizer.rate_multipliers == (), "what the block does not name stays"


def test_trials_of_an_agent_share_no_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_SWEEP_ID", raising=False)
    monkeypatch.setenv("WANDB_RUN_ID", RUN)
    assert command_line.default_workdir("configs/digits.py") == "runs/digits"
    monkeypatch.setenv("WANDB_SWEEP_ID", "xy98")
    assert command_line.default_workdir("configs/digits.py") == f"runs/sweeps/xy98/{RUN}"
    for wrong in ("../other", "a/b", "..", ".", "a\\b", "a b"):
        monkeypatch.setenv("WANDB_RUN_ID", wrong)
        with pytest.raises(InputError, match="WANDB_RUN_ID"):
            command_line.default_workdir("configs/digits.py")


@pytest.mark.slow
def test_a_trial_holds_the_values_of_its_sweep(
    read: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The whole way: a file, its command, a process, config.json; and the same run once more, as a queued-again one."""
    sweep = read(words=with_macro("args"))
    values = draw(sweep, 0, 1)
    monkeypatch.chdir(tmp_path)
    words = command(sweep, values, sys.executable)
    environment = {**os.environ, "WANDB_SWEEP_ID": "xy98", "WANDB_RUN_ID": RUN, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=300)
    assert result.returncode == 0, result.stderr
    workdir = tmp_path / "runs/sweeps/xy98" / RUN
    saved = read_json(workdir / "config.json")
    saved.pop("resolved")
    flat = flatten(saved)
    expected = flatten(json.loads(json.dumps(values)))
    expected["config.model.kernel_size"] = [3, 3]
    for name, value in expected.items():
        assert flat[name.removeprefix("config.")] == value, name
    pairs = [(name.removeprefix("config."), value) for name, value in values.items()]
    assert saved == to_json(override(load_config(ROOT / "configs/digits.py"), [*split(FIXED)[1], *pairs]))
    summary = read_json(workdir / "summary.json")
    assert set(METRICS) <= set(summary)
    figures = {name for name in summary if name.startswith("validation_") and not name.endswith("_examples")}
    assert figures <= set(METRICS)

    monkeypatch.setenv("WANDB_SWEEP_ID", "xy98")
    monkeypatch.setenv("WANDB_RUN_ID", RUN)
    runpy.run_path(str(ROOT / "scripts/train.py"))["main"]([*words[3:], "--_wandb={}"], Shutdown())
    assert capsys.readouterr().out.splitlines()[-1] == f"run directory: runs/sweeps/xy98/{RUN}"
    assert read_json(workdir / "summary.json") == summary
