"""Mistakes of a command line: one line each, which says what was meant."""

from pathlib import Path
from typing import Any

import pytest

from cnn_jax.commands import audit_data, evaluate, predict
from tests.support.helpers import script


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--config=configs/nowhere.py"], "there is no such file"),
        (["stray"], "unrecognized arguments: stray"),
        (["mnist_cnn"], "unrecognized arguments: mnist_cnn (did you mean '--config=mnist_cnn'?)"),
        (["configs"], "(did you mean '--config.data.dir=configs'?)"),
        (["--help=finetune"], "this is no topic but a config; --config=finetune --help shows what it sets"),
        (["--foo=3"], "unrecognized arguments: --foo=3; --help lists"),
        (["--lr=3", "--epochs", "2"], "(did you mean '--config.optimizer.learning_rate' and '--config.num_epochs'?)"),
        (["--config.optimizer.lr=3"], "the optimizer 'adamw' has no 'lr' (did you mean 'learning_rate'?)"),
        (["--config.lr=3"], "config.lr: there is no such key (did you mean 'optimizer.learning_rate'?)"),
        (["--help=modl"], "--help=modl: there is no such topic (did you mean 'model'?); there are all, training, data"),
        (["--workdi=x"], "unrecognized arguments: --workdi=x (did you mean '--workdir'?); --help"),
        (["--config.batch_size=-3"], "config.batch_size=-3: it must be a whole number of at least 1"),
        (["--config.batch_size", "0"], "config.batch_size=0"),
        (["--config.bath_size=3"], "did you mean 'batch_size'"),
        (["--config.model.name=resnet"], "one of linear"),
        (["--config.optimizer.learning_rate=fast"], "must be a number above 0"),
        (
            ["--config.data.source=tfds", "--config.data.name=mnst", "--config.data.dir=/nowhere"],
            "did you mean 'mnist'",
        ),
    ],
)
def test_mistakes_in_training(tmp_path: Path, arguments: list[str], words: str) -> None:
    result = script("train.py", *arguments, f"--workdir={tmp_path / 'run'}")
    assert result.returncode == 2
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr
    assert not result.stdout
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("command", "words", "meant"),
    [
        (evaluate, ["RUN"], "--workdir=RUN"),
        (evaluate, ["--split", "test", "RUN"], "--workdir=RUN"),
        (predict, ["RUN", "new.jpg"], "--workdir=RUN"),
        (audit_data, ["RUN"], "--workdir=RUN"),
        (audit_data, ["FOLDER"], "--dir=FOLDER"),
    ],
)
def test_a_place_without_its_flag(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: Any, words: list[str], meant: str
) -> None:
    """Tools that take one place take it bare; here it is told what it is."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run/config.json").touch()
    places = {"RUN": str(tmp_path / "run"), "FOLDER": str(tmp_path)}
    with pytest.raises(SystemExit):
        command.main([places.get(word, word) for word in words])
    flag, _, place = meant.partition("=")
    assert f" (did you mean '{flag}={places[place]}'?); --help" in capsys.readouterr().err
