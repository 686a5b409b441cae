"""Sweep files: what they say, one clear line for every mistake, and the check against the config tree."""

import copy
import dataclasses
import itertools
from pathlib import Path
from typing import Any

import pytest
import yaml

from cnn_jax.tuning.sweeps.file import Metric, Stopping, Sweep, check_against_config, grid_point, grid_size, read_sweep
from tests.support.helpers import ROOT
from tests.support.sweep_files import HYPERBAND, RATE, sweep_file, sweep_refusal, write_text

SHIPPED = sorted((ROOT / "configs/sweeps").glob("*.yaml"))


def test_all_that_a_file_says(tmp_path: Path) -> None:
    path = write_text(
        tmp_path / "all.yaml",
        """
        program: scripts/train.py
        name: everything
        description: known, and not used
        project: p
        entity: e
        method: bayes
        run_cap: 30
        metric: {name: validation_loss, goal: minimize, target: 0.1}
        early_terminate: {type: hyperband, min_iter: 2, eta: 4, strict: true}
        parameters:
          config.optimizer:
            parameters:
              learning_rate: {distribution: log_uniform_values, min: 0.001, max: 0.1}
          config.data: {parameters: {validation: {values: [0.1, 0.2]}}}
          config: {parameters: {parallel: {parameters: {batch_norm: {value: global}}}}}
        command: ["${env}", "${interpreter}", "${program}", --config=configs/digits.py, "${args}"]
        """,
    )
    sweep = read_sweep(path)
    assert sweep.source == path
    assert sweep.content["description"] == "known, and not used"
    assert (sweep.program, sweep.method, sweep.run_cap) == ("scripts/train.py", "bayes", 30)
    assert (sweep.name, sweep.notes) == ("everything", ())
    assert sweep.metric == Metric("validation_loss", "minimize", 0.1)
    assert sweep.stopping == Stopping("hyperband", 2, None, None, 4, True)
    assert [one.path for one in sweep.parameters] == [
        ("config.optimizer", "learning_rate"), ("config.data", "validation"), ("config", "parallel", "batch_norm"),
    ]  # fmt: skip
    assert sweep.parameters[2].name == "config.parallel.batch_norm"
    assert sweep.command[3] == "--config=configs/digits.py"
    check_against_config(sweep, None)


def test_what_may_be_left_out(tmp_path: Path) -> None:
    sweep = read_sweep(sweep_file(tmp_path, metric=None))
    assert sweep.metric == Metric("validation_accuracy", "maximize")
    assert (sweep.stopping, sweep.run_cap, sweep.name) == (None, None, None)
    assert sweep.command == ("${env}", "${interpreter}", "${program}", "${args}")
    check_against_config(sweep, 5)


def test_hyperband_from_its_end(tmp_path: Path) -> None:
    """27 epochs, s=2, eta=3: brackets at 9 and 3, as in wandb's guide."""
    stopping = read_sweep(sweep_file(tmp_path, early_terminate={"type": "hyperband", "max_iter": 27, "s": 2})).stopping
    assert stopping == Stopping("hyperband", 3, 27, 2, 3, False)


# By the key that is wrong.
MISTAKES: dict[str, list[tuple[dict[str, Any], str]]] = {
    "keys": [
        ({"methods": "grid"}, "there is no key 'methods' (did you mean 'method'?)"),
        ({"run_cap": 0}, "run_cap=0: it must be a whole number of at least 1"),
        ({"run_cap": True}, "run_cap=True"),
        ({"name": 3}, "name=3: it must be text"),
    ],
    "method": [
        ({"method": None}, "method is missing; it must be one of grid, random, bayes"),
        ({"method": "byes"}, "method 'byes' is unknown (did you mean 'bayes'?)"),
        ({"method": ["grid"]}, "is unknown"),
    ],
    "program": [
        ({"program": None}, "program is missing"),
        ({"program": "scripts/trian.py"}, "program: scripts/trian.py: there is no such file"),
        ({"program": 3}, "program=3: it must be text"),
    ],
    "parameters": [
        ({"parameters": None}, "parameters are missing"),
        ({"parameters": {}}, "there must be a block of parameters"),
        ({"parameters": [1]}, "there must be a block of parameters"),
        ({"parameters": {RATE: {"value": 0.1}, "config.optimizer": {"parameters": {"learning_rate": {"value": 1}}}}},
         f"{RATE} is set twice"),
        ({"parameters": {"config.optimizer": {"parameters": {"b1": {"value": 1}}, "value": 3}}},
         "config.optimizer: nested parameters stand alone; take out value"),
        ({"parameters": {"config.optimizer": {"parameters": {}}}}, "config.optimizer: there must be a block"),
        ({"parameters": {"config optimizer": {"value": 1}}}, "'config optimizer' is no parameter's name"),
    ],
    "metric": [
        ({"method": "bayes", "metric": None}, "method: bayes needs a metric"),
        ({"early_terminate": HYPERBAND, "metric": None}, "early_terminate needs a metric"),
        ({"metric": "validation_loss"}, "metric needs a name"),
        ({"metric": {"goal": "minimize"}}, "metric needs a name"),
        ({"metric": {"name": "validation_loss", "goal": "minimise"}}, "must be minimize or maximize (did you mean"),
        ({"metric": {"name": "validation_loss", "gaol": 1}}, "no key 'metric.gaol' (did you mean 'goal'?)"),
    ],
    "early_terminate": [
        ({"early_terminate": 3}, "early_terminate must be a block"),
        ({"early_terminate": {"type": "median"}}, "early_terminate.type='median': it must be hyperband"),
        ({"early_terminate": {"type": "hyperband"}}, "needs either min_iter, or max_iter and s"),
        ({"early_terminate": HYPERBAND | {"max_iter": 9, "s": 2}}, "needs either min_iter, or max_iter and s"),
        ({"early_terminate": {"type": "hyperband", "max_iter": 9}}, "max_iter and s belong together"),
        ({"early_terminate": HYPERBAND | {"s": 2}}, "max_iter and s belong together"),
        ({"early_terminate": {"type": "hyperband", "max_iter": 2, "s": 2}}, "below one epoch"),
        ({"early_terminate": {"type": "hyperband", "max_iter": 27, "s": 10**9}}, "early_terminate.s=1000000000"),
        ({"early_terminate": {"type": "hyperband", "max_iter": 2, "s": 2, "eta": 1e300}}, "below one epoch"),
        ({"early_terminate": HYPERBAND | {"eta": 1}}, "early_terminate.eta=1: it must be above 1"),
        ({"early_terminate": HYPERBAND | {"min_iter": 0}}, "early_terminate.min_iter=0: it must be a whole number"),
        ({"early_terminate": HYPERBAND | {"strict": "yes"}}, "must be true or false"),
        ({"early_terminate": HYPERBAND | {"etta": 3}}, "did you mean 'eta'"),
    ],
    "command": [
        ({"command": "python train.py"}, "is no list of words"),
        ({"command": ["${program}", "${arg}"]}, "no macro ${arg} (did you mean 'args'?)"),
        ({"command": ["${program}", "--x=${args}"]}, "a macro is expanded only where it is the whole entry"),
        ({"command": ["${program}", "${envvar:home}", "${args}"]}, "names of variables are capitals"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("key", MISTAKES)
def test_sweep_file_mistakes(tmp_path: Path, key: str) -> None:
    for changes, words in MISTAKES[key]:
        assert words in sweep_refusal(sweep_file(tmp_path, **copy.deepcopy(changes)))


# By what is wrong.
WRONG_BLOCKS: dict[str, list[tuple[Any, str]]] = {
    "kind": [
        (0.1, "0.1 is no block; write `value: 0.1` for a constant"),
        ({}, "say which distribution"),
        ({"mu": 0, "sigma": 1}, "say which distribution"),
        ({"min": 1, "max": 8, "q": 2}, "say which distribution"),
        ({"min": 1}, "exactly one of value, values, or min and max"),
        ({"value": 1, "values": [1]}, "exactly one of value, values, or min and max"),
        ({"valeus": [1]}, "there is no argument 'valeus' (did you mean 'values'?)"),
        ({"distribution": "log_unifrom", "min": 1, "max": 2}, "(did you mean 'log_uniform'?)"),
        ({"distribution": ["a"]}, "there is no distribution"),
    ],
    "arguments": [
        ({"distribution": "uniform", "min": 1}, "needs 'max'"),
        ({"distribution": "uniform", "min": 1, "max": 2, "q": 1}, "the distribution 'uniform' has no 'q'"),
        ({"distribution": "normal", "mean": 1}, "has no 'mean'"),
        ({"distribution": "normal", "sigma": 0}, "sigma=0: it must be above 0"),
        ({"distribution": "beta", "a": -1}, "a=-1: it must be above 0"),
        ({"distribution": "q_uniform", "min": 0, "max": 1, "q": 0}, "q=0: it must be above 0"),
        ({"distribution": "q_uniform", "min": 1, "max": 2, "q": 5}, "no multiple of q=5 lies between 1 and 2"),
    ],
    "bounds": [
        ({"min": 2, "max": 1}, "min=2 must be below max=1"),
        ({"min": 2, "max": 2}, "write `value: 2`"),
        ({"min": "a", "max": 2}, "min='a' is not a number"),
        ({"min": True, "max": 2}, "min=True is not a number"),
        ({"distribution": "int_uniform", "min": 0.5, "max": 2}, "int_uniform is between whole numbers"),
        ({"distribution": "log_uniform_values", "min": 0, "max": 2}, "min=0: bounds of log_uniform_values must be"),
        ({"distribution": "q_log_uniform_values", "min": -1, "max": 2}, "must be above 0"),
        ({"distribution": "inv_log_uniform_values", "min": -1, "max": 2}, "must be above 0"),
        ({"distribution": "log_uniform", "min": 1, "max": 1000}, "are exponents of e; of values: log_uniform_values"),
    ],
    "values": [
        ({"values": []}, "it must be a list of at least one value"),
        ({"values": 3}, "it must be a list of at least one value"),
        ({"values": [1, 2], "probabilities": [0.5, 0.4]}, "the probabilities sum to 0.9, not to 1"),
        ({"values": [1, 2], "probabilities": [1.0]}, "there are 1 probabilities for 2 values"),
        ({"values": [1, 2], "probabilities": [1.5, -0.5]}, "numbers of at least 0"),
        ({"values": [1, 2], "probabilities": "half"}, "numbers of at least 0"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG_BLOCKS)
def test_sweep_parameter_mistakes(tmp_path: Path, what: str) -> None:
    for block, words in WRONG_BLOCKS[what]:
        message = sweep_refusal(sweep_file(tmp_path, parameters={RATE: block}))
        assert words in message
        assert f": {RATE}: " in message


def test_sweep_grid_mistakes(tmp_path: Path) -> None:
    for block, words in (
        ({"min": 0.0, "max": 1.0}, "a grid cannot enumerate 'uniform'; give `values`"),
        ({"distribution": "q_normal"}, "a grid cannot enumerate 'q_normal'"),
        ({"values": [1, 2], "probabilities": [0.5, 0.5]}, "leave out the probabilities"),
        ({"min": 0, "max": 10**9}, "values make no grid"),
    ):
        message = sweep_refusal(sweep_file(tmp_path, parameters={RATE: block}, method="grid"))
        assert f"{RATE}: " in message
        assert words in message


def test_a_grid_is_enumerated_exactly(tmp_path: Path) -> None:
    parameters = {
        "config.model": {
            "parameters": {"filters": {"values": [[8], [8, 16]]}, "convs_per_block": {"min": 1, "max": 3}}
        },
        "config.seed": {"value": 3},
        "config.loss.label_smoothing": {"distribution": "q_uniform", "min": 0.0, "max": 0.3, "q": 0.1},
        "config.model.norm": {"values": ["batch", "none", "batch"]},
    }
    sweep = read_sweep(sweep_file(tmp_path, method="grid", parameters=parameters))
    points = [tuple(grid_point(sweep, number).values()) for number in range(grid_size(sweep))]
    expected = itertools.product([[8], [8, 16]], [1, 2, 3], [3], [0.0, 0.1, 0.2, 0.3], ["batch", "none"])
    assert points == list(expected)
    assert list(grid_point(sweep, 0)) == [one.name for one in sweep.parameters]
    with pytest.raises(IndexError):
        grid_point(sweep, len(points))
    check_against_config(sweep, None)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_sweeps(path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    sweep = read_sweep(path)
    assert isinstance(sweep, Sweep)
    assert not sweep.notes
    assert yaml.safe_load(path.read_text()) == sweep.content, "wandb reads the same"
    check_against_config(sweep, sweep.run_cap)
    head = path.read_text().partition("program:")[0]
    for words in (
        f"scripts/sweep.py --sweep=configs/sweeps/{path.name} --workdir=",
        f"wandb sweep configs/sweeps/{path.name}",
    ):
        assert words in head
    assert "What to look for" in head


def test_there_is_a_sweep_for_each_of_the_important_hyperparameters() -> None:
    swept = [
        " ".join(one.name for one in read_sweep(path).parameters) for path in SHIPPED if path.stem[0].isdigit()
    ]  # fmt: skip
    wanted = ["model.filters", "learning_rate", "batch_size", "model.dropout", "optimizer.name"]
    assert len(swept) == len(wanted)
    assert all(key in names for key, names in zip(wanted, swept, strict=True))


def test_a_sweep_does_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        read_sweep(SHIPPED[0]).method = "grid"  # type: ignore[misc]
