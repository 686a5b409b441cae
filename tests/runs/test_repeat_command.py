"""The command that trains a run's config again."""

import json
import shlex
from pathlib import Path

from cnn_jax.cli.progress import paste
from cnn_jax.config.overrides import parse_overrides
from cnn_jax.config.tree import flatten, load_config, override
from cnn_jax.runs.comparison import repeat_command
from cnn_jax.runs.search import run_records
from tests.support.helpers import tiny_config


def test_the_command_gives_the_config_again() -> None:
    config = tiny_config(optimizer__name="sgd", optimizer__momentum=0.5, augment=(("flip", 0.5),))
    command = repeat_command(flatten(config) | {"command_line": "x --config=configs/mnist_cnn.py"})
    assert command is not None
    words = [word.partition("=")[::2] for word in shlex.split(command)]
    (base,) = [value for flag, value in words if flag == "--config"]
    assert base == "configs/mnist_cnn.py"
    pairs = parse_overrides([(flag.removeprefix("--config."), v) for flag, v in words if flag.startswith("--config.")])
    assert flatten(override(load_config(base), pairs)) == flatten(config)
    assert repeat_command({"model.name": "of another version"}) is None
    assert repeat_command(flatten(config) | {"data.source": "arrays"}) is None, "no command has its arrays"


def test_a_config_with_names_of_its_own_is_repeated(tmp_path: Path) -> None:
    """By its own command line, without the file being run here; not where that file is gone, or none was named."""
    file = tmp_path / "my net.py"
    file.write_text("raise SystemExit('this file came with the run directory')")
    words = ["/env/bin/cnn_jax", "train", f"--config={file}", "--workdir", "runs/1", "--config.model.width=8"]
    environment = {"command_line": words}
    (tmp_path / "run").mkdir()
    (tmp_path / "run/environment.json").write_text(json.dumps(environment))
    (tmp_path / "run/config.json").write_text(json.dumps({"model": {"name": "not_known_here"}}))
    (record,) = run_records(tmp_path)
    command = repeat_command(record)
    assert command is not None
    assert shlex.split(command)[2:] == [f"--config={file}", "--config.model.width=8", "--workdir=runs/again"]
    assert repeat_command(record | {"command_line": paste(["evaluate.py", *words[2:]])}) is None
    assert repeat_command(record | {"command_line": paste([*words[:2], "--config=digits"])}) is None
    file.unlink()
    assert repeat_command(record) is None
