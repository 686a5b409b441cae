"""A name that is no key, or no flag, is answered with the one that is meant."""

import pytest

from cnn_jax.cli.command_line import Parser
from cnn_jax.config.suggestions import _ALSO_CALLED, meant_key
from cnn_jax.config.tree import every_key

MEANT = {
    "--lr": "--config.optimizer.learning_rate",
    "--learning-rate": "--config.optimizer.learning_rate",
    "--optimizer.lr": "--config.optimizer.learning_rate",
    "--epochs": "--config.num_epochs",
    "--batch": "--config.batch_size",
    "--bath_size": "--config.batch_size",
    "--Batch-Size": "--config.batch_size",
    "--weight_decay": "--config.optimizer.weight_decay",
    "--optimizer": "--config.optimizer.name",
    "--dropout": "--config.model.dropout",
    "--T_max": "--config.schedule.T_max",
    "--worker": "--config.data.workers",
    "--data_dir": "--config.data.dir",
    "--seed": "--config.seed",
    "--wrkdir": "--workdir",
    "--work": "--workdir",
    "--output_dir": "--workdir",
    "--dry-run": "--dry_run",
    "-lr": "--config.optimizer.learning_rate",
}


@pytest.fixture(scope="module")
def parser() -> Parser:
    parser = Parser(None, with_config=True)
    parser.add_argument("--workdir")
    parser.add_argument("--dry_run")
    return parser


@pytest.mark.parametrize(("given", "meant"), MEANT.items())
def test_flags(parser: Parser, capsys: pytest.CaptureFixture[str], given: str, meant: str) -> None:
    with pytest.raises(SystemExit) as caught:
        parser.parse([f"{given}=0.1"])
    assert caught.value.code == 2
    assert f"unrecognized arguments: {given}=0.1 (did you mean '{meant}'?); --help" in capsys.readouterr().err


@pytest.mark.parametrize("given", ["--foo", "--num_classes", "stray", "--x"])
def test_nothing_is_close(parser: Parser, capsys: pytest.CaptureFixture[str], given: str) -> None:
    with pytest.raises(SystemExit):
        parser.parse([given])
    assert "did you mean" not in capsys.readouterr().err


def test_scripts_without_a_config(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        Parser(None, with_run=True).parse(["--workdir=x", "--lr=3", "--confg=x"])
    assert "(did you mean '--config'?)" in capsys.readouterr().err


def test_every_other_name_leads_to_a_key() -> None:
    """And to one key only; a key is never another name of something else."""
    others = [other for some in _ALSO_CALLED.values() for other in some]
    assert len(others) == len(set(others))
    assert set(_ALSO_CALLED) <= set(every_key())
    assert not set(others) & set(every_key())
    for key, some in _ALSO_CALLED.items():
        assert {meant_key(other, every_key()) for other in some} == {key}


def test_the_own_block_comes_first() -> None:
    keys = ["optimizer.momentum", "model.momentum"]
    assert meant_key("model.momentm", keys) == "model.momentum"
    assert meant_key("momentum", keys) == "optimizer.momentum"
