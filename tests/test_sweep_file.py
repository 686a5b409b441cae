"""Sweep files: what they say, one clear line for every mistake, and the check against the config tree."""

import copy
import dataclasses
import itertools
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT

from cnn_jax.errors import InputError
from cnn_jax.tuning.draws import draw
from cnn_jax.tuning.sweep_file import (
    Metric,
    Stopping,
    Sweep,
    check_against_config,
    grid_point,
    grid_size,
    read_sweep,
)

RATE = "config.optimizer.learning_rate"
VALID: dict[str, Any] = {
    "program": "scripts/train.py",
    "method": "random",
    "metric": {"name": "validation_accuracy", "goal": "maximize"},
    "parameters": {RATE: {"distribution": "log_uniform_values", "min": 1e-4, "max": 0.1}},
}
SHIPPED = sorted((ROOT / "configs/sweeps").glob("*.yaml"))


def write(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False))
    return path


def made(tmp_path: Path, **changes: Any) -> Path:
    """A valid file with other values of some keys; None takes a key out."""
    content = {key: value for key, value in (VALID | changes).items() if value is not None}
    return write(tmp_path / "sweep.yaml", content)


def with_parameter(tmp_path: Path, name: str, block: Any, **changes: Any) -> Path:
    return made(tmp_path, parameters={name: block}, **changes)


def read_and_check(path: Path) -> None:
    check_against_config(read_sweep(path), 20)


def line(path: Path, check: bool = False) -> str:
    with pytest.raises(InputError) as caught:
        read_and_check(path) if check else read_sweep(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(str(path))
    assert message.count(str(path)) == 1
    return message


def test_all_that_a_file_says(tmp_path: Path) -> None:
    path = write(
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
    sweep = read_sweep(made(tmp_path, metric=None))
    assert sweep.metric == Metric("validation_accuracy", "maximize")
    assert (sweep.stopping, sweep.run_cap, sweep.name) == (None, None, None)
    assert sweep.command == ("${env}", "${interpreter}", "${program}", "${args}")
    check_against_config(sweep, 5)


def test_hyperband_from_its_end(tmp_path: Path) -> None:
    """27 epochs, s=2, eta=3: brackets at 9 and 3, as in wandb's guide."""
    stopping = read_sweep(made(tmp_path, early_terminate={"type": "hyperband", "max_iter": 27, "s": 2})).stopping
    assert stopping == Stopping("hyperband", 3, 27, 2, 3, False)


@pytest.mark.parametrize("text", ["1e-3", "1E-3", "1.5e3", "+2e+4", "-1e-3", ".5e1", "1.e2"])
def test_numbers_with_exponents_are_numbers(tmp_path: Path, text: str) -> None:
    assert isinstance(yaml.safe_load(text), str), "PyYAML, and so wandb, reads text"
    path = write(tmp_path / "s.yaml", yaml.safe_dump(VALID) + f"description: [\n  {text}]\n")
    sweep = read_sweep(path)
    assert sweep.content["description"] == [float(text)]
    (note,) = sweep.notes
    assert f"line {path.read_text().count(chr(10))}: {text} is read as a number here, but as text by wandb" in note
    spelled = yaml.safe_load(note.rpartition("write ")[2])
    assert spelled == float(text)
    assert isinstance(spelled, float)


def test_quoted_numbers_stay_text(tmp_path: Path) -> None:
    path = write(tmp_path / "s.yaml", yaml.safe_dump(VALID) + "description: ['1e-3', 1.0e-3, e5, 1e, 0.1]\n")
    assert read_sweep(path).content["description"] == ["1e-3", 1e-3, "e5", "1e", 0.1]
    assert read_sweep(path).notes == ()


def test_exponents_that_look_like_values_are_noted(tmp_path: Path) -> None:
    block = {"distribution": "log_uniform", "min": 0.0001, "max": 0.1}
    (note,) = read_sweep(with_parameter(tmp_path, RATE, block)).notes
    assert "values are between 1 and 1.105; else write log_uniform_values" in note


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("program: [", "line 1: this is no YAML"),
        ("a: 1\nb: 2\na: 3", "line 3: this is no YAML: the key 'a' stands twice"),
        ("parameters:\n  x: {value: 1, value: 2}", "line 2: this is no YAML: the key 'value' stands twice"),
        ("a: !!python/object:os.system {}", "this is no YAML: could not determine a constructor"),
        ("a: 2024-01-01", "a: 2024-01-01 is read as a date"),
        ("a: .inf", "a: inf is no finite number"),
        ("1: 2", "a key must be text"),
        ("[1, 2]: 3", "this is no YAML"),
        ("", "a sweep file is a block of keys"),
        ("- 1", "a sweep file is a block of keys"),
        ("just text", "a sweep file is a block of keys"),
        ("a: &a [*a]", "nested too deeply"),
        ("a: \x00", "this is no YAML"),
        ("a: &a [1,1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
         "d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]", "too many values"),
    ],
)  # fmt: skip
def test_malformed_yaml(tmp_path: Path, text: str, words: str) -> None:
    assert words in line(write(tmp_path / "sweep.yaml", text))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert "No such file" in line(tmp_path / "nowhere.yaml")
    assert "cannot be read" in line(tmp_path)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x81")
    assert "no text" in line(tmp_path / "binary.yaml")


HYPERBAND = {"type": "hyperband", "min_iter": 3}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"methods": "grid"}, "there is no key 'methods' (did you mean 'method'?)"),
        ({"method": None}, "method is missing; it must be one of grid, random, bayes"),
        ({"method": "byes"}, "method 'byes' is unknown (did you mean 'bayes'?)"),
        ({"method": ["grid"]}, "is unknown"),
        ({"program": None}, "program is missing"),
        ({"program": "scripts/trian.py"}, "program: scripts/trian.py: there is no such file"),
        ({"program": 3}, "program=3: it must be text"),
        ({"parameters": None}, "parameters are missing"),
        ({"parameters": {}}, "there must be a block of parameters"),
        ({"parameters": [1]}, "there must be a block of parameters"),
        ({"method": "bayes", "metric": None}, "method: bayes needs a metric"),
        ({"early_terminate": HYPERBAND, "metric": None}, "early_terminate needs a metric"),
        ({"metric": "validation_loss"}, "metric needs a name"),
        ({"metric": {"goal": "minimize"}}, "metric needs a name"),
        ({"metric": {"name": "validation_loss", "goal": "minimise"}}, "must be minimize or maximize (did you mean"),
        ({"metric": {"name": "validation_loss", "gaol": 1}}, "no key 'metric.gaol' (did you mean 'goal'?)"),
        ({"early_terminate": 3}, "early_terminate must be a block"),
        ({"early_terminate": {"type": "median"}}, "early_terminate.type='median': it must be hyperband"),
        ({"early_terminate": {"type": "hyperband"}}, "needs either min_iter, or max_iter and s"),
        ({"early_terminate": HYPERBAND | {"max_iter": 9, "s": 2}}, "needs either min_iter, or max_iter and s"),
        ({"early_terminate": {"type": "hyperband", "max_iter": 9}}, "max_iter and s belong together"),
        ({"early_terminate": HYPERBAND | {"s": 2}}, "max_iter and s belong together"),
        ({"early_terminate": {"type": "hyperband", "max_iter": 2, "s": 2}}, "below one epoch"),
        ({"early_terminate": HYPERBAND | {"eta": 1}}, "early_terminate.eta=1: it must be above 1"),
        ({"early_terminate": HYPERBAND | {"min_iter": 0}}, "early_terminate.min_iter=0: it must be a whole number"),
        ({"early_terminate": HYPERBAND | {"strict": "yes"}}, "must be true or false"),
        ({"early_terminate": HYPERBAND | {"etta": 3}}, "did you mean 'eta'"),
        ({"run_cap": 0}, "run_cap=0: it must be a whole number of at least 1"),
        ({"run_cap": True}, "run_cap=True"),
        ({"name": 3}, "name=3: it must be text"),
        ({"command": "python train.py"}, "is no list of words"),
        ({"command": ["${program}", "${arg}"]}, "no macro ${arg} (did you mean 'args'?)"),
        ({"command": ["${program}", "--x=${args}"]}, "a macro is expanded only where it is the whole entry"),
        ({"command": ["${program}", "${envvar:home}", "${args}"]}, "names of variables are capitals"),
        ({"parameters": {RATE: {"value": 0.1}, "config.optimizer": {"parameters": {"learning_rate": {"value": 1}}}}},
         f"{RATE} is set twice"),
        ({"parameters": {"config.optimizer": {"parameters": {"b1": {"value": 1}}, "value": 3}}},
         "config.optimizer: nested parameters stand alone; take out value"),
        ({"parameters": {"config.optimizer": {"parameters": {}}}}, "config.optimizer: there must be a block"),
        ({"parameters": {"config optimizer": {"value": 1}}}, "'config optimizer' is no parameter's name"),
    ],
)  # fmt: skip
def test_mistakes_in_the_file(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    assert words in line(made(tmp_path, **copy.deepcopy(changes)))


@pytest.mark.parametrize(
    ("block", "words"),
    [
        (0.1, "0.1 is no block; write `value: 0.1` for a constant"),
        ({}, "say which distribution"),
        ({"mu": 0, "sigma": 1}, "say which distribution"),
        ({"min": 1, "max": 8, "q": 2}, "say which distribution"),
        ({"min": 1}, "exactly one of value, values, or min and max"),
        ({"value": 1, "values": [1]}, "exactly one of value, values, or min and max"),
        ({"valeus": [1]}, "there is no argument 'valeus' (did you mean 'values'?)"),
        ({"distribution": "log_unifrom", "min": 1, "max": 2}, "(did you mean 'log_uniform'?)"),
        ({"distribution": ["a"]}, "there is no distribution"),
        ({"distribution": "uniform", "min": 1}, "needs 'max'"),
        ({"distribution": "uniform", "min": 1, "max": 2, "q": 1}, "the distribution 'uniform' has no 'q'"),
        ({"distribution": "normal", "mean": 1}, "has no 'mean'"),
        ({"distribution": "normal", "sigma": 0}, "sigma=0: it must be above 0"),
        ({"distribution": "beta", "a": -1}, "a=-1: it must be above 0"),
        ({"min": 2, "max": 1}, "min=2 must be below max=1"),
        ({"min": 2, "max": 2}, "write `value: 2`"),
        ({"min": "a", "max": 2}, "min='a' is not a number"),
        ({"min": True, "max": 2}, "min=True is not a number"),
        ({"distribution": "int_uniform", "min": 0.5, "max": 2}, "int_uniform is between whole numbers"),
        ({"distribution": "log_uniform_values", "min": 0, "max": 2}, "min=0: bounds of log_uniform_values must be"),
        ({"distribution": "q_log_uniform_values", "min": -1, "max": 2}, "must be above 0"),
        ({"distribution": "inv_log_uniform_values", "min": -1, "max": 2}, "must be above 0"),
        ({"distribution": "log_uniform", "min": 1, "max": 1000}, "are exponents of e; of values: log_uniform_values"),
        ({"distribution": "q_uniform", "min": 0, "max": 1, "q": 0}, "q=0: it must be above 0"),
        ({"distribution": "q_uniform", "min": 1, "max": 2, "q": 5}, "no multiple of q=5 lies between 1 and 2"),
        ({"values": []}, "it must be a list of at least one value"),
        ({"values": 3}, "it must be a list of at least one value"),
        ({"values": [1, 2], "probabilities": [0.5, 0.4]}, "the probabilities sum to 0.9, not to 1"),
        ({"values": [1, 2], "probabilities": [1.0]}, "there are 1 probabilities for 2 values"),
        ({"values": [1, 2], "probabilities": [1.5, -0.5]}, "numbers of at least 0"),
        ({"values": [1, 2], "probabilities": "half"}, "numbers of at least 0"),
    ],
)  # fmt: skip
def test_mistakes_in_a_parameter(tmp_path: Path, block: Any, words: str) -> None:
    message = line(with_parameter(tmp_path, RATE, block))
    assert words in message
    assert f": {RATE}: " in message


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ({"min": 0.0, "max": 1.0}, "a grid cannot enumerate 'uniform'; give `values`"),
        ({"distribution": "q_normal"}, "a grid cannot enumerate 'q_normal'"),
        ({"values": [1, 2], "probabilities": [0.5, 0.5]}, "leave out the probabilities"),
        ({"min": 0, "max": 10**9}, "values make no grid"),
    ],
)
def test_grids_that_cannot_be(tmp_path: Path, block: Any, words: str) -> None:
    assert f"{RATE}: " in line(with_parameter(tmp_path, RATE, block, method="grid"))
    assert words in line(with_parameter(tmp_path, RATE, block, method="grid"))


def test_a_grid_is_enumerated_exactly(tmp_path: Path) -> None:
    parameters = {
        "config.model": {
            "parameters": {"filters": {"values": [[8], [8, 16]]}, "convs_per_block": {"min": 1, "max": 3}}
        },
        "config.seed": {"value": 3},
        "config.loss.label_smoothing": {"distribution": "q_uniform", "min": 0.0, "max": 0.3, "q": 0.1},
        "config.model.norm": {"values": ["batch", "none", "batch"]},
    }
    sweep = read_sweep(made(tmp_path, method="grid", parameters=parameters))
    points = [tuple(grid_point(sweep, number).values()) for number in range(grid_size(sweep))]
    expected = itertools.product([[8], [8, 16]], [1, 2, 3], [3], [0.0, 0.1, 0.2, 0.3], ["batch", "none"])
    assert points == list(expected)
    assert list(grid_point(sweep, 0)) == [one.name for one in sweep.parameters]
    with pytest.raises(IndexError):
        grid_point(sweep, len(points))
    check_against_config(sweep, None)


ONE_OF_TWO = {"config.optimizer.name": {"values": ["sgd", "adamw"]}}


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"learning_rate": {"value": 0.1}}, "begin with 'config.' (did you mean 'config.optimizer.learning_rate'?)"),
        ({"bath_size": {"value": 8}}, "begin with 'config.' (did you mean 'config.batch_size'?)"),
        ({"config.optimizer.learning_rat": {"value": 0.1}}, "has no 'learning_rat' (did you mean 'learning_rate'?)"),
        ({"config.bath_size": {"value": 8}}, "did you mean 'batch_size'"),
        ({"config.batch_size": {"values": [8, 8.5]}}, "config.batch_size=8.5: it must be a whole number"),
        ({"config.batch_size": {"min": 0, "max": 64}}, "config.batch_size=0: it must be a whole number of at least 1"),
        ({"config.batch_size": {"min": 8.0, "max": 64.0}}, "it must be a whole number"),
        ({"config.model.dropout": {"min": 0.0, "max": 1.0}}, "config.model.dropout=1.0: it must be a number"),
        ({RATE: {"distribution": "normal"}}, "it must be a number above 0"),
        ({"config.model.filters": {"values": [[8], [8, "x"]]}}, "config.model.filters=[8, 'x']: it must be a tuple"),
        ({"config.augment": {"values": [[], [["trnslate", 1]]]}}, "did you mean 'translate'"),
        ({"config.optimizer": {"value": 3}}, "optimizer is a block of keys"),
        ({"config.optimizer": {"parameters": {"rate": {"value": 3}}}}, "the optimizer 'adamw' has no 'rate'"),
        ({**ONE_OF_TWO, "config.optimizer.momentum": {"value": 0.9}},
         "the optimizer 'adamw' has no 'momentum'; it has name, learning_rate, b1, b2, eps, weight_decay, "
         "decay_bias_and_norm, clip_norm, rate_multipliers (in the trial config.optimizer.name=adamw, "
         "config.optimizer.momentum=0.9)"),
        ({"config.optimizer": {"parameters": {"name": {"values": ["adamw", "sgd"]}, "b1": {"value": 0.9}}}},
         "the optimizer 'sgd' has no 'b1'"),
        ({"config.loss.class_weights": {"values": ["none", "balanced"]},
          "config.data.sampling": {"values": ["shuffled", "balanced"]}}, "choose one (in the trial"),
        ({"config.data.validation": {"values": [0.1, 0]}}, "no run logs validation_accuracy"),
        ({"config": {"values": ["configs/digits.py", "configs/nowhere.py"]}}, "there is no such file"),
    ],
)  # fmt: skip
def test_what_no_config_takes_is_said_before_the_first_trial(
    tmp_path: Path, parameters: dict[str, Any], words: str
) -> None:
    assert words in line(made(tmp_path, parameters=parameters), check=True)
    if not any("max" in block or "distribution" in block for block in parameters.values()):
        assert words in line(made(tmp_path, parameters=parameters, method="grid"), check=True)


def test_combinations_that_are_hardly_drawn_are_checked_too(tmp_path: Path) -> None:
    parameters = {
        "config.optimizer.name": {"values": ["sgd", "adamw"], "probabilities": [0.9999, 0.0001]},
        "config.optimizer.momentum": {"value": 0.9},
    }
    assert "the optimizer 'adamw' has no 'momentum'" in line(made(tmp_path, parameters=parameters), check=True)


def test_what_every_config_takes(tmp_path: Path) -> None:
    parameters = {
        **ONE_OF_TWO,
        "config.optimizer.clip_norm": {"values": [None, 1.0]},
        "config.schedule": {"values": [{"name": "StepLR", "gamma": 0.5}, {"name": "constant"}]},
        "config.data.name": {"value": None},
        "config.model": {"parameters": {"filters": {"values": [[4], [4, 8]]}, "hidden": {"value": []}}},
        "config.batch_size": {"distribution": "q_log_uniform_values", "min": 16, "max": 128, "q": 16},
        "config.augment": {"values": [[], [["translate", 1], ["rotate", 10]]]},
    }
    check_against_config(read_sweep(made(tmp_path, parameters=parameters)), 30)


def test_the_command_names_the_base_config(tmp_path: Path) -> None:
    parameters = {"config.optimizer.momentum": {"values": [0.8, 0.9]}}
    command = ["${env}", "${interpreter}", "${program}", "--config=configs/digits.py", "${args}"]
    assert "'adamw' has no 'momentum'" in line(made(tmp_path, parameters=parameters, command=command), check=True)
    command.insert(4, "--config.optimizer.name=sgd")
    check_against_config(read_sweep(made(tmp_path, parameters=parameters, command=command)), 3)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["${program}", "--config=configs/nowhere.py", "${args}"], "there is no such file"),
        (["${program}", "--config.batch_size=0", "${args}"], "config.batch_size=0"),
        (["${program}"], "nothing passes the parameters on"),
        (["${program}", "--workdir=runs/x", "${args}"], "--workdir would be the same for all trials"),
        (["${program}", "--dry_run", "${args}"], "--dry_run trains nothing"),
        (["${program}", f"--{RATE}=0.1", "${args}"], f"--{RATE} is a parameter of the sweep, too"),
    ],
)
def test_mistakes_in_the_command(tmp_path: Path, command: list[str], words: str) -> None:
    assert words in line(made(tmp_path, command=command), check=True)


def test_a_false_that_is_not_passed_on(tmp_path: Path) -> None:
    parameters = {"config.optimizer.nesterov": {"values": [True, False]}}
    command = ["${program}", "--config.optimizer.name=sgd", "${args_no_boolean_flags}"]
    check_against_config(read_sweep(made(tmp_path, parameters=parameters, command=command)), 3)
    command[1] = "--config.optimizer={'name': 'muon'}"
    message = line(made(tmp_path, parameters=parameters, command=command), check=True)
    assert "${args_no_boolean_flags} passes no False" in message


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ({"name": "accuracy", "goal": "maximize"}, "no run logs 'accuracy'"),
        ({"name": "validation_acuracy", "goal": "maximize"}, "(did you mean 'validation_accuracy'?)"),
        ({"name": "test_loss"}, "test data are touched once, at the end; choose trials by validation_loss"),
        (
            {"name": "validation_accuracy"},
            "goal=minimize (wandb's default is minimize): validation_accuracy wants goal:",
        ),
        ({"name": "validation_loss", "goal": "maximize"}, "validation_loss wants goal: minimize"),
    ],
)
def test_metrics_that_no_run_logs(tmp_path: Path, metric: dict[str, str], words: str) -> None:
    assert words in line(made(tmp_path, metric=metric), check=True)


def test_hyperband_needs_a_figure_of_every_epoch(tmp_path: Path) -> None:
    metric = {"name": "images_per_second", "goal": "maximize"}
    check_against_config(read_sweep(made(tmp_path, metric=metric)), 3)
    assert "early_terminate compares" in line(made(tmp_path, metric=metric, early_terminate=HYPERBAND), check=True)


def test_other_programs_are_not_checked(tmp_path: Path) -> None:
    other = write(tmp_path / "train.py", "print()")
    sweep = read_sweep(made(tmp_path, program=str(other), parameters={"lr": {"value": 1}}, metric={"name": "loss"}))
    check_against_config(sweep, 3)


def test_the_draws_that_will_come_are_checked(tmp_path: Path) -> None:
    """A value that one draw in thousands gives is found where it is drawn, and only there."""
    block = {"distribution": "normal", "mu": 0.1, "sigma": 0.031}  # below 0 once in some 1,600 draws
    sweep = read_sweep(with_parameter(tmp_path, RATE, block))
    seed, number = next((s, n) for s in range(99) for n in range(100) if draw(sweep, s, n)[RATE] < 0)
    check_against_config(sweep, number, seed)
    with pytest.raises(InputError, match="it must be a number above 0"):
        check_against_config(sweep, number + 1, seed)


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
