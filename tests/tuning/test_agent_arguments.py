"""Every form in which an agent's values arrive at a script: flags, blocks, JSON; what is no value is refused."""

from typing import Any

import pytest

from cnn_jax.cli import command_line
from cnn_jax.config.tree import default_config, flatten
from tests.support.helpers import refusal


@pytest.mark.parametrize(
    ("words", "key", "value"),
    [
        (["--config.optimizer.learning_rate=1e-2"], "optimizer.learning_rate", 0.01),
        (["--config.optimizer={'learning_rate': '1e-2', 'weight_decay': 0}"], "optimizer.learning_rate", 0.01),
        (["--config={'optimizer': {'learning_rate': '1e-2'}}"], "optimizer.learning_rate", 0.01),
        (['{"config": {"optimizer": {"learning_rate": "1e-2"}}}'], "optimizer.learning_rate", 0.01),
        (['{"config.optimizer.learning_rate": "1e-2", "_wandb": {}}'], "optimizer.learning_rate", 0.01),
        (["--config", "{'data': {'validation': 0.2}}"], "data.validation", 0.2),
        (["--config={'data': {'source': 'folder', 'dir': '2024'}}"], "data.dir", "2024"),
        (["config.data.source=folder", "config.data.dir=2024"], "data.dir", "2024"),
        (['{"config.data": {"source": "folder", "dir": "1e3"}}'], "data.dir", "1e3"),
        (["--config.optimizer.nesterov"], "optimizer.nesterov", True),
        (["--config.optimizer.nesterov", "--_wandb={}"], "optimizer.nesterov", True),
        (["--_wandb", "{}", "--config.optimizer.nesterov=true"], "optimizer.nesterov", True),
        (["config.optimizer.nesterov=True", "_wandb={}"], "optimizer.nesterov", True),
        (["--config.optimizer.nesterov", "False"], "optimizer.nesterov", False),
        (["--config.model.filters=[16, 32]"], "model.filters", (16, 32)),
        (["--config.model.filters=8"], "model.filters", (8,)),
        (["--config.augment=[['flip', 0.5], ['translate', 2]]"], "augment", (("flip", 0.5), ("translate", 2))),
        (["--config.optimizer.clip_norm=None"], "optimizer.clip_norm", None),
        (["--config.optimizer.clip_norm=null"], "optimizer.clip_norm", None),
        (['{"config.optimizer.clip_norm": null}'], "optimizer.clip_norm", None),
        (["--config.freeze=None"], "freeze", None),
        (["--config.freeze=null"], "freeze", "null"),
        (["--config.freeze=3"], "freeze", "3"),
        (["--config.batch_size=64.0"], "batch_size", 64),
        (["--config.num_epochs=3", "--config.num_epochs=4"], "num_epochs", 4),
    ],
)
def test_every_form_in_which_a_value_arrives(words: list[str], key: str, value: Any) -> None:
    parser = command_line.Parser(None, with_config=True)
    arguments = parser.parse(words)
    assert arguments.config == "configs/digits.py"
    flat = flatten(parser.load_config(default_config()))
    assert flat[key] == value
    assert type(flat[key]) is type(value)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (['{"config.batch_size": 3'], "is no JSON"),
        (['{"batch_size": 3}'], "'batch_size' is no key of the config"),
        (["--config={'batch_size': 3"], "neither a file nor a dictionary"),
        (["--config={1: 3}"], "1 is no key of the config"),
        (["nowhere.json"], "nowhere.json: the parameters cannot be read"),
        (["--config.optimizer={}"], "an empty block sets nothing"),
        (["--config={'optimizer': 3}"], "optimizer is a block of keys"),
        (["--config={'optimizer': {'rate': 3}}"], "the optimizer 'sgd' has no 'rate'"),
    ],
)
def test_mistakes_in_what_arrives(words: list[str], message: str) -> None:
    parser = command_line.Parser(None, with_config=True)
    assert message in refusal(lambda: parser.load_config(parser.parse(words) and default_config()))


@pytest.mark.parametrize("words", [["stray"], ["config.x"], ["--workdir", "x.json", "stray"], ["[1]"], ["_wandb"]])
def test_stray_words_are_still_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    parser = command_line.Parser(None, with_config=True)
    parser.add_argument("--workdir")
    with pytest.raises(SystemExit):
        parser.parse(words)
    assert f"unrecognized arguments: {words[-1]}" in capsys.readouterr().err


def test_files_are_not_taken_for_parameters() -> None:
    parser = command_line.Parser(None, with_config=True)
    parser.add_argument("--workdir")
    assert parser.parse(["--workdir", "x.json"]).workdir == "x.json"
    other = command_line.Parser(None)
    other.add_argument("files", nargs="*")
    assert other.parse(["a.json", "config.x=3", "{}"]).files == ["a.json", "config.x=3", "{}"]


def test_a_config_file_may_be_a_parameter() -> None:
    for words in (
        ["--config=configs/mnist_cnn.py"],
        ["config=configs/mnist_cnn.py"],
        ["--config", "configs/mnist_cnn.py"],
    ):
        parser = command_line.Parser(None, with_config=True)
        assert parser.parse([*words, "--config.seed=3"]).config == "configs/mnist_cnn.py"
        assert parser.load_config(default_config()).seed == 3
