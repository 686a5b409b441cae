"""The examples of docs/extending.md run; names of one's own behave as the built-in ones do."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnn_jax.config import default_config, describe, load_config, override, register
from cnn_jax.config import register as module
from cnn_jax.config.keys import AUGMENTATIONS, KEYS, LOSSES, MODELS, OPTIMIZERS, SCHEDULES, SOURCES
from cnn_jax.config.rules import Key, integer, number
from cnn_jax.config.schedule_keys import SIMPLE
from cnn_jax.config.tree import from_json, to_json
from cnn_jax.errors import InputError
from cnn_jax.experiment import fit
from cnn_jax.inference import load_run
from tests.support.helpers import ROOT, script

TEXT = (ROOT / "docs/extending.md").read_text()
EXAMPLES = dict(re.findall(r"```python\n# configs/(\w+)\.py\n(.*?)```", TEXT, re.DOTALL))
TABLES: tuple[dict[str, Any], ...] = (
    AUGMENTATIONS, KEYS, LOSSES, MODELS, OPTIMIZERS, SCHEDULES, SIMPLE, SOURCES, module._registered,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _forget_what_was_registered() -> Iterator[None]:
    before = [dict(table) for table in TABLES]
    yield
    for table, content in zip(TABLES, before, strict=True):
        table.clear()
        table.update(content)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name, code in EXAMPLES.items():
        (tmp_path / f"{name}.py").write_text(code)
    return tmp_path


def refusal(call: Any, *arguments: Any, **keywords: Any) -> str:
    with pytest.raises(InputError) as caught:
        call(*arguments, **keywords)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_every_code_block_is_an_example() -> None:
    assert TEXT.count("```python") == len(EXAMPLES) == 6
    kinds = re.findall(r"^register\.(\w+)\(", TEXT, re.MULTILINE)
    assert sorted(kinds) == ["augmentation", "loss", "model", "optimizer", "schedule", "source"]


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_trains(name: str, files: Path) -> None:
    """One epoch each; where the name is not registered any more, the run says so."""
    before = [dict(table) for table in TABLES]
    config = override(load_config(files / f"{name}.py"), [("num_epochs", 1), ("parallel.devices", 1)])
    if name != "patchnet":
        config = override(config, [("model.name", "mlp"), ("model.hidden", (16,)), ("optimizer.learning_rate", 0.01)])
    summary = fit(config, files / "run")
    assert np.isfinite(summary["validation_loss"])
    assert load_run(files / "run").config.to_dict() == config.to_dict()
    for table, content in zip(TABLES, before, strict=True):
        table.clear()
        table.update(content)
    assert "must be registered first" in refusal(load_run, files / "run")


@pytest.mark.slow
def test_model_in_scripts(files: Path) -> None:
    """Train, resume, help, evaluate and predict; without the registration, one line."""
    config = f"--config={files / 'patchnet.py'}"
    flags = [config, f"--workdir={files / 'run'}", "--config.model.width=8", "--config.parallel.devices=1"]
    for epochs in (1, 2):
        trained = script("train.py", *flags, f"--config.num_epochs={epochs}")
        assert trained.returncode == 0, trained.stderr
    listed = script("train.py", config, "--help=model").stdout
    assert "model.name=patchnet\n  model.width=32" in listed
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(files / "black.png")
    run = [f"--workdir={files / 'run'}", files / "black.png"]
    assert script("predict.py", *run, config).returncode == 0
    evaluated = script("evaluate.py", run[0], config)
    assert evaluated.returncode == 0, evaluated.stderr
    alone = script("predict.py", *run)
    assert alone.returncode == 2
    assert alone.stderr.count("\n") == 1
    assert "config.model.name='patchnet': there is no such name; one of your own must be registered" in alone.stderr


def test_keys_are_checked_as_the_built_in_ones_are(files: Path) -> None:
    config = load_config(files / "patchnet.py")
    assert from_json(to_json(config)).to_dict() == config.to_dict()
    assert "did you mean 'width'" in refusal(override, config, [("model.widht", 3)])
    assert "config.model.patch=0: it must be a whole number" in refusal(override, config, [("model.patch", 0)])
    assert "has no stages" in refusal(override, config, [("remat", "stage")])
    assert "did you mean 'patchnet'" in refusal(default_config, "patchnets")
    load_config(files / "invert.py")
    assert "strength of 'invert' must be" in refusal(override, config, [("augment", (("invert", 2),))])
    assert "('invert', 0.1)" in describe()
    load_config(files / "stripes.py")
    stripes = override(config, [("data.source", "stripes"), ("data.dir", "here"), ("data.name", "mine")])
    assert stripes.data.dir == "here"
    assert "stripes: made-up stripes" in describe()
    load_config(files / "inverse_sqrt.py")
    parts = (("InverseSqrtLR", {"timescale": 3}), ("ExponentialLR", {}))
    chosen = override(default_config(schedule="SequentialLR"), [("schedule.schedulers", parts)])
    assert chosen.schedule.schedulers[0] == ("InverseSqrtLR", {"timescale": 3.0})


def test_the_same_file_may_be_read_twice_but_no_other_takes_its_names(files: Path) -> None:
    for name in EXAMPLES:
        load_config(files / f"{name}.py")
        load_config(files / f"{name}.py")
        (files / "copy.py").write_text(EXAMPLES[name])
        assert "there is one of this name already" in refusal(load_config, files / "copy.py")


def takes_width(width: int, **others: Any) -> Any:
    return object()


def test_mistakes_in_registering_are_one_line() -> None:
    key = Key(3, integer(1), "")
    for register_one in (register.model, register.optimizer, register.schedule, register.loss):
        assert "choose another name" in refusal(register_one, "mine", takes_width, {"name": key})
        assert "must be a Key" in refusal(register_one, "mine", takes_width, {"width": 3})
        assert "default of width is 0; it must be" in refusal(
            register_one, "mine", takes_width, {"width": Key(0, integer(1), "")}
        )
    for table, register_one in ((MODELS, register.model), (LOSSES, register.loss), (SOURCES, register.source)):
        name = next(iter(table))
        assert "there is one of this name already" in refusal(register_one, name, takes_width)
    assert "letters, digits and _" in refusal(register.loss, "my loss", takes_width)
    assert "must be 'module:attribute'" in refusal(register.model, "mine", "my_module")
    assert "a class or a function" in refusal(register.model, "mine", 3)
    assert "has the key 'depth', which it does not take" in refusal(
        register.schedule, "mine", lambda base, clock: base, {"depth": key}
    )
    assert "learning_rate" not in refusal(register.optimizer, "mine", takes_width, {"clip_norm": key})
    assert not {"mine", "my loss"} & {*MODELS, *LOSSES, *OPTIMIZERS, *SCHEDULES, *SOURCES}


def test_what_a_target_is_not_is_said_when_it_is_built() -> None:
    from cnn_jax.data import load_source
    from cnn_jax.models import make_model

    register.model("lost", "no_such_module:Net")
    assert "no_such_module:Net: it cannot be imported" in refusal(make_model, default_config("lost").model, 10)
    register.model("wrong", takes_width, {"width": Key(3, integer(1), "")})
    assert "is no models.Classifier" in refusal(make_model, default_config("wrong").model, 10)
    register.source("nothing", lambda data: None)
    data = override(default_config(), [("data.source", "nothing")]).data
    assert "returns no data.Source" in refusal(load_source, data)


def test_an_optimizer_may_have_other_defaults() -> None:
    rate = Key(0.3, number(above=0), "")
    register.optimizer("mine", "optax:sgd", {"learning_rate": rate, "width": Key(3, integer(1), "")})
    config = default_config(optimizer="mine").optimizer
    assert (config.learning_rate, config.weight_decay, config.clip_norm, config.width) == (0.3, 0.0, None, 3)
