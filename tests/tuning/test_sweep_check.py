"""A sweep against the config tree: what a run would refuse is said before the first trial, in one line."""

import sys
from pathlib import Path
from typing import Any

import pytest

from cnn_jax.cli import programs
from cnn_jax.errors import InputError
from cnn_jax.tuning.search.draws import draw
from cnn_jax.tuning.sweeps import file as sweep_files
from cnn_jax.tuning.sweeps.file import check_against_config, read_sweep
from cnn_jax.tuning.sweeps.table import best_command
from tests.support.helpers import ROOT
from tests.support.sweep_files import HYPERBAND, RATE, sweep_file, sweep_refusal, write_text

ONE_OF_TWO = {"config.optimizer.name": {"values": ["sgd", "adamw"]}}


WRONG: dict[str, list[tuple[dict[str, Any], str]]] = {
    "names": [
        ({"learning_rate": {"value": 0.1}}, "begin with 'config.' (did you mean 'config.optimizer.learning_rate'?)"),
        ({"bath_size": {"value": 8}}, "begin with 'config.' (did you mean 'config.batch_size'?)"),
        ({"config.optimizer.learning_rat": {"value": 0.1}}, "has no 'learning_rat' (did you mean 'learning_rate'?)"),
        ({"config.bath_size": {"value": 8}}, "did you mean 'batch_size'"),
    ],
    "values": [
        ({"config.batch_size": {"values": [8, 8.5]}}, "config.batch_size=8.5: it must be a whole number"),
        ({"config.batch_size": {"min": 0, "max": 100_000}}, "config.batch_size=0: it must be a whole number"),
        ({"config.batch_size": {"min": 8.0, "max": 64.0}}, "it must be a whole number"),
        ({"config.model.dropout": {"min": 0.0, "max": 1.0}}, "config.model.dropout=1.0: it must be a number"),
        ({RATE: {"distribution": "normal"}}, "it must be a number above 0"),
        ({"config.model.filters": {"values": [[8], [8, "x"]]}}, "config.model.filters=[8, 'x']: it must be a tuple"),
        ({"config.augment": {"values": [[], [["trnslate", 1]]]}}, "did you mean 'translate'"),
    ],
    "blocks": [
        ({"config.optimizer": {"value": 3}}, "optimizer is a block of keys"),
        ({"config.optimizer": {"parameters": {"rate": {"value": 3}}}}, "the optimizer 'adamw' has no 'rate'"),
    ],
    "combinations": [
        ({**ONE_OF_TWO, "config.optimizer.momentum": {"value": 0.9}},
         "the optimizer 'adamw' has no 'momentum'; it has name, learning_rate, b1, b2, eps, weight_decay, "
         "decay_bias_and_norm, clip_norm, rate_multipliers, layer_decay (in the trial config.optimizer.name=adamw, "
         "config.optimizer.momentum=0.9)"),
        ({"config.optimizer": {"parameters": {"name": {"values": ["adamw", "sgd"]}, "b1": {"value": 0.9}}}},
         "the optimizer 'sgd' has no 'b1'"),
        ({"config.loss.class_weights": {"values": ["none", "balanced"]},
          "config.data.sampling": {"values": ["shuffled", "balanced"]}}, "choose one (in the trial"),
        ({"config.schedule.warmup": {"values": [0, 5, 40]}}, "as long as all of training (30 epochs)"),
        ({"config.data.validation": {"values": [0.1, 0]}}, "no run logs validation_accuracy"),
        ({"config": {"values": ["configs/digits.py", "configs/nowhere.py"]}}, "there is no such file"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_sweep_check_parameters(tmp_path: Path, what: str) -> None:
    """What no config takes is said before the first trial."""
    for parameters, words in WRONG[what]:
        assert words in sweep_refusal(sweep_file(tmp_path, parameters=parameters))


def test_sweep_check_grid(tmp_path: Path) -> None:
    """Points of a grid that no choice shows alone, with the others in the middle."""
    parameters, words = (
        {
            "config.model.filters": {"values": [[8], [12]]},
            "config.model.norm": {"values": ["batch", "group"]},
            "config.model.norm_groups": {"value": 8},
        },
        "norm_groups=8: it must divide every entry of filters=(12,)",
    )
    assert words in sweep_refusal(sweep_file(tmp_path, parameters=parameters, method="grid"))


def test_combinations_that_are_hardly_drawn_are_checked_too(tmp_path: Path) -> None:
    parameters = {
        "config.optimizer.name": {"values": ["sgd", "adamw"], "probabilities": [0.9999, 0.0001]},
        "config.optimizer.momentum": {"value": 0.9},
    }
    assert "the optimizer 'adamw' has no 'momentum'" in sweep_refusal(sweep_file(tmp_path, parameters=parameters))


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
    check_against_config(read_sweep(sweep_file(tmp_path, parameters=parameters)), 30)


def test_the_command_names_the_base_config(tmp_path: Path) -> None:
    parameters = {"config.optimizer.momentum": {"values": [0.8, 0.9]}}
    command = ["${env}", "${interpreter}", "${program}", "--config=configs/digits.py", "${args}"]
    path = sweep_file(tmp_path, parameters=parameters, command=command)
    assert "'adamw' has no 'momentum'" in sweep_refusal(path)
    command.insert(4, "--config.optimizer.name=sgd")
    check_against_config(read_sweep(sweep_file(tmp_path, parameters=parameters, command=command)), 3)


def test_sweep_check_command(tmp_path: Path) -> None:
    for command, words in (
        (["${program}", "--config=configs/nowhere.py", "${args}"], "there is no such file"),
        (["${program}", "--config.batch_size=0", "${args}"], "config.batch_size=0"),
        (["${interpreter}", "${args}"], "command: nothing runs scripts/train.py; add ${program}"),
        (["bash", "run.sh", "--config.batch_size=8", "${args}"], "nothing runs scripts/train.py"),
        (["${program}"], "nothing passes the parameters on"),
        (["${program}", "--workdir=runs/x", "${args}"], "--workdir would be the same for all trials"),
        (["${program}", "--dry_run", "${args}"], "--dry_run trains nothing"),
        (["${program}", f"--{RATE}=0.1", "${args}"], f"--{RATE} is a parameter of the sweep, too"),
    ):
        assert words in sweep_refusal(sweep_file(tmp_path, command=command))


def test_the_installed_command_as_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`program: cnn_jax` as wandb's agent would start it, and scripts/train.py where no checkout has it."""
    monkeypatch.chdir(tmp_path)
    words = ["${env}", "${program}", "train", "--config=digits", "${args}"]
    sweep = read_sweep(sweep_file(tmp_path, program="cnn_jax", command=words))
    check_against_config(sweep, 3)
    values = draw(sweep, 0, 0)
    expanded = sweep_files.command(sweep, values, "python")
    own = ["python", "-P", "-m", "cnn_jax", "train"]
    assert expanded == ["/usr/bin/env", *own, "--config=digits", f"--{RATE}={values[RATE]}"]
    flags = f"--config=digits --{RATE}={values[RATE]} --workdir=runs/best"
    script = ROOT / "scripts/train.py"
    assert best_command(sweep, values, tmp_path) == f"{sys.executable} {script} {flags}"
    monkeypatch.setattr(sys, "argv", ["cnn_jax", "sweep"])
    assert best_command(sweep, values, tmp_path).endswith(f" train {flags}")
    assert "train.py" not in best_command(sweep, values, tmp_path)

    monkeypatch.setattr(programs, "_PACKAGE", tmp_path / "site-packages/cnn_jax")
    sweep = read_sweep(sweep_file(tmp_path, command=["nice", "${interpreter}", "${program}", "${args}"]))
    check_against_config(sweep, 3)
    assert sweep_files.command(sweep, values, "python")[1:] == [*own, f"--{RATE}={values[RATE]}"]
    assert best_command(sweep, values, tmp_path).startswith(f"nice {sys.executable} -P -m cnn_jax train ")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"program": "cnn_jax train"}, "write `program: cnn_jax` and `command: [${env}, ${program}, train, ${args}]`"),
        ({"program": "cnn_jax"}, "cnn_jax is a command, no file for Python; write `program: cnn_jax` and `command: ["),
        ({"program": "cnn_jax", "command": ["${program}", "${args}"]}, "cnn_jax is a command"),
        ({"program": "cnn_jax", "command": ["${args}"]}, "command: nothing runs cnn_jax; add ${program}"),
        ({"program": "cnn_jax", "command": ["${program}", "train", "--config.batch_size=0", "${args}"]},
         "config.batch_size=0"),
    ],
)  # fmt: skip
def test_a_wrong_use_of_the_command(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    assert words in sweep_refusal(sweep_file(tmp_path, **changes))


def test_off_without_quotes(tmp_path: Path) -> None:
    path = sweep_file(tmp_path, parameters={"config.tracking.wandb": {"value": False}})
    assert sweep_refusal(path).endswith("; YAML reads on, off, yes and no as true and false: put them in quotes")
    other = sweep_refusal(sweep_file(tmp_path, parameters={RATE: {"value": False}}))
    assert "in quotes" not in other


def test_merges_and_aliases_are_read(tmp_path: Path) -> None:
    text = (
        "program: scripts/train.py\nmethod: random\nparameters:\n"
        f"  {RATE}: &rate {{min: 0.1, max: 0.5}}\n  config.optimizer.weight_decay: {{<<: *rate, max: 0.7}}\n"
    )
    sweep = read_sweep(write_text(tmp_path / "sweep.yaml", text))
    assert [one.distribution.max for one in sweep.parameters] == [0.5, 0.7]


def test_a_false_that_is_not_passed_on(tmp_path: Path) -> None:
    parameters = {"config.optimizer.nesterov": {"values": [True, False]}}
    command = ["${program}", "--config.optimizer.name=sgd", "${args_no_boolean_flags}"]
    check_against_config(read_sweep(sweep_file(tmp_path, parameters=parameters, command=command)), 3)
    command[1] = "--config.optimizer={'name': 'muon'}"
    message = sweep_refusal(sweep_file(tmp_path, parameters=parameters, command=command))
    assert "${args_no_boolean_flags} passes no False" in message


def test_sweep_check_metric(tmp_path: Path) -> None:
    metrics: list[tuple[dict[str, str], str]] = [
        ({"name": "accuracy", "goal": "maximize"}, "no run logs 'accuracy'"),
        ({"name": "validation_acuracy", "goal": "maximize"}, "(did you mean 'validation_accuracy'?)"),
        ({"name": "test_loss"}, "test data are touched once, at the end; choose trials by validation_loss"),
        (
            {"name": "validation_accuracy"},
            "goal=minimize (wandb's default is minimize): validation_accuracy wants goal:",
        ),
        ({"name": "validation_loss", "goal": "maximize"}, "validation_loss wants goal: minimize"),
    ]
    for metric, words in metrics:
        assert words in sweep_refusal(sweep_file(tmp_path, metric=metric))


def test_hyperband_needs_a_figure_of_every_epoch(tmp_path: Path) -> None:
    metric = {"name": "images_per_second", "goal": "maximize"}
    check_against_config(read_sweep(sweep_file(tmp_path, metric=metric)), 3)
    path = sweep_file(tmp_path, metric=metric, early_terminate=HYPERBAND)
    assert "early_terminate compares" in sweep_refusal(path)


def test_other_programs_are_not_checked(tmp_path: Path) -> None:
    other = write_text(tmp_path / "train.py", "print()")
    changes = {"parameters": {"lr": {"value": 1}}, "metric": {"name": "loss"}}
    check_against_config(read_sweep(sweep_file(tmp_path, program=str(other), **changes)), 3)
    assert "begin with 'config.'" in sweep_refusal(sweep_file(tmp_path, **changes)), "ours is"


def test_the_draws_that_will_come_are_checked(tmp_path: Path) -> None:
    """A value that one draw in thousands gives is found where it is drawn, and only there."""
    block = {"distribution": "normal", "mu": 0.1, "sigma": 0.031}  # below 0 once in some 1,600 draws
    sweep = read_sweep(sweep_file(tmp_path, parameters={RATE: block}))
    seed, number = next((s, n) for s in range(99) for n in range(100) if draw(sweep, s, n)[RATE] < 0)
    check_against_config(sweep, number, seed)
    with pytest.raises(InputError, match="it must be a number above 0"):
        check_against_config(sweep, number + 1, seed)
