"""The config tree: defaults, overrides, files, and one clear line for every mistake."""

import contextlib
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnn_jax import models, ops
from cnn_jax.config import keys as k
from cnn_jax.config import model_keys
from cnn_jax.config import tree as c
from cnn_jax.config.overrides import parse_overrides
from cnn_jax.config.schedule_keys import SHARED
from cnn_jax.data import SOURCES
from cnn_jax.data.augment.pipeline import OPERATIONS
from cnn_jax.errors import InputError
from cnn_jax.models import activations, initializers
from cnn_jax.optimization import losses, optimizers, schedules
from tests.support.helpers import ROOT


def defaults(callable_: Any, skip: tuple[str, ...]) -> dict[str, Any]:
    parameters = inspect.signature(callable_).parameters
    return {name: p.default for name, p in parameters.items() if name not in skip and p.kind is not p.VAR_KEYWORD}


@pytest.mark.parametrize("name", k.MODELS)
def test_models_arguments_are_the_keys_with_the_same_defaults(name: str) -> None:
    parts = ("blocks", "widths", "block", "stem") if name.startswith("resnet") else ()
    ours = defaults(models.MODELS[name], ("num_classes", "compute", "parent", "name", *parts))
    functions = {"activation": activations.ACTIVATIONS, "initialization": initializers.INITIALIZATIONS}
    keys = {key: functions.get(key, {}).get(entry.default, entry.default) for key, entry in k.MODELS[name].items()}
    assert keys == ours


@pytest.mark.parametrize("name", k.OPTIMIZERS)
def test_optimizers_take_the_keys(name: str) -> None:
    taken_before = {"learning_rate", "decay_bias_and_norm", "clip_norm", "rate_multipliers"}
    taken_before |= {"lookahead_steps", "lookahead_decay"}
    assert set(k.OPTIMIZERS[name]) - taken_before == set(defaults(optimizers.OPTIMIZERS[name], ("rate", "mask")))


@pytest.mark.parametrize("name", k.SCHEDULES)
def test_schedules_take_the_keys(name: str) -> None:
    own = set(k.SCHEDULES[name]) - set(SHARED)
    assert len(own) == len(k.SCHEDULES[name]) - 3
    if name == "ReduceLROnPlateau":
        assert own == set(schedules.plateau_arguments(c.default_config(schedule=name).schedule) or ())
    else:
        assert own == set(defaults(schedules.SCHEDULES[name], ("base", "clock")))


def test_tables_hold_the_names_of_the_config() -> None:
    assert list(k.MODELS) == list(models.MODELS)
    assert list(k.OPTIMIZERS) == list(optimizers.OPTIMIZERS)
    assert list(k.SCHEDULES) == list(schedules.SCHEDULES)
    assert set(model_keys.INITIALIZATIONS) == set(initializers.INITIALIZATIONS)
    assert set(model_keys.ACTIVATIONS) == set(activations.ACTIVATIONS)
    assert set(k.PADDING_MODES) == {*ops.PAD_MODES, "crop"}
    assert set(k.AUGMENTATIONS) == set(OPERATIONS)
    assert all(entry.rule(entry.default) == entry.default for entry in k.AUGMENTATIONS.values())
    assert k.KEYS["data.source"].rule.choices == tuple(SOURCES)
    assert k.KEYS["loss.name"].rule.choices == tuple(losses.LOSSES)


@pytest.mark.parametrize("model", k.MODELS)
@pytest.mark.parametrize("optimizer", k.OPTIMIZERS)
def test_defaults_are_valid_and_survive_json(model: str, optimizer: str) -> None:
    for schedule in k.SCHEDULES:
        config = c.default_config(model, optimizer, schedule)
        assert c.validate(config).to_dict() == config.to_dict()
        assert c.from_json(c.to_json(config)).to_dict() == config.to_dict()


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("bath_size", 3, ["config.bath_size", "did you mean 'batch_size'"]),
        ("optimzer.learning_rate", 1, ["did you mean 'optimizer.learning_rate'"]),
        ("optimizer.lr", 0.1, ["the optimizer 'sgd' has no 'lr'", "learning_rate"]),
        ("model.hiden", 3, ["the model 'cnn' has no 'hiden'", "did you mean 'hidden'"]),
        ("schedule.name", "steplr", ["one of constant", "did you mean 'StepLR'"]),
        ("model.name", "resnet19", ["one of linear", "did you mean 'resnet18'"]),
        ("optimizer.name", "sdg", ["did you mean 'sgd'"]),
        ("schedule.name", "StepL", ["did you mean 'StepLR'"]),
        ("data.source", "tfd", ["digits, tfds", "did you mean 'tfds'"]),
        ("data.source", "tfds", ["data.name", "dataset's name"]),
        ("data.name", "mnist", ["data.source=tfds"]),
        ("batch_size", 0, ["batch_size=0", "at least 1"]),
        ("batch_size", -4, ["batch_size=-4", "at least 1"]),
        ("batch_size", 2.5, ["whole number"]),
        ("batch_size", "many", ["'many'", "whole number"]),
        ("batch_size", True, ["whole number"]),
        ("num_epochs", 0, ["at least 1"]),
        ("optimizer.learning_rate", -0.1, ["above 0"]),
        ("optimizer.learning_rate", float("nan"), ["above 0"]),
        ("optimizer.learning_rate", float("inf"), ["above 0"]),
        ("optimizer.learning_rate", "fast", ["a number"]),
        ("optimizer.momentum", 1.0, ["below 1"]),
        ("optimizer.nesterov", 1, ["True or False"]),
        ("model.filters", (), ["at least 1"]),
        ("model.filters", (8, 0), ["at least 1"]),
        ("model.filters", "wide", ["whole number"]),
        ("model.stem", (16, 5), ["(filters, kernel size, stride) as in (16, 5, 2)", "None"]),
        ("model.stem", (16, 5, 0), ["(filters, kernel size, stride)"]),
        ("model.dropout", 1.0, ["below 1"]),
        ("model.kernel_size", (3, 3, 3), ["(height, width)"]),
        ("data.validation", 1.5, ["fraction"]),
        ("data.validation", -1, ["fraction"]),
        ("data.validation", 1.0, ["fraction"]),
        ("data.channels", 2, ["1 (gray) or 3"]),
        ("augment", (("flp", 0.5),), ["has no 'flp' (did you mean 'flip'?); there are rotate, translate"]),
        (
            "augment",
            (("flip", 2),),
            ["('flip', 2): the strength of 'flip' must be a number of at least 0 and of at most 1"],
        ),
        ("augment", (("randaugment", 9),), ["of 'randaugment' must be (number of operations of at least 1"]),
        ("augment", (("random_resized_crop", (0.9, 0.1)),), ["must be (least, most) share of the area"]),
        ("augment", (("elastic", (4.5, 4.0)),), ["pixels from 0 to sigma: more would fold images"]),
        ("augment", (("elastic", 1.0),), ["must be (pixels, sigma), sigma from 1 to 1024, pixels from 0 to sigma"]),
        ("augment", (("flip",),), ["a tuple of (name, strength) pairs, as in (('flip', 0.5), ('translate', 2))"]),
        ("augment", ((3, 0.5),), ["(name, strength) pairs"]),
        ("augment_padding_mode", "crop", ["one of zero, extend, reflect, wrap"]),
        ("augment", "flip", ["pairs"]),
        ("augment", (("translate", -1),), ["translate"]),
        ("precision", "half", ["float32, bfloat16, float16, float64"]),
        ("data", 3, ["this is a block", "data.source"]),
        ("num_epochs", 10**20, ["whole number"]),
        ("data.image_size", 99_999_999, ["whole number of pixels"]),
        ("optimizer.learning_rate", 1e300, ["a number above 0"]),
        ("seed", {}, ["sets nothing"]),
        ("model", {"name": {}}, ["config.model.name={}", "one of linear"]),
        ("optimizer", "adamw", ["--config.optimizer.name=adamw"]),
        ("optimizer", {}, ["sets nothing"]),
        ("model.name", ["cnn"], ["one of linear"]),
        ("batch_size", float("inf"), ["whole number"]),
        ("optimizer.learning_rate", 10**400, ["a number above 0"]),
        ("data.source.deep", 3, ["no such key"]),
    ],
)
def test_a_mistake_is_one_line_that_names_the_key(key: str, value: Any, words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        c.override(c.default_config(), [(key, value)])
    message = str(caught.value)
    assert "\n" not in message
    assert key in message or key.split(".")[0] in message
    for word in words:
        assert word in message


def test_a_count_of_examples_set_in_a_file_stays_a_count() -> None:
    config = c.default_config()
    config.data.validation = 500  # a ConfigDict makes 500.0 of it
    assert c.validate(config).data.validation == 500
    assert isinstance(c.validate(config).data.validation, int)


def test_every_augmentation_survives_json() -> None:
    everything = tuple((name, entry.default) for name, entry in k.AUGMENTATIONS.items())
    config = c.override(c.default_config(), [("augment", everything)])
    assert config.augment == everything
    assert c.from_json(c.to_json(config)).to_dict() == config.to_dict()
    described = c.describe()
    assert all(f"('{name}', {entry.default})" in described for name, entry in k.AUGMENTATIONS.items())


def test_choices_together() -> None:
    config = c.default_config()
    with pytest.raises(InputError, match="momentum above 0"):
        c.override(config, [("optimizer.nesterov", True), ("optimizer.momentum", 0)])
    with pytest.raises(InputError, match="divide every entry"):
        c.override(config, [("model.norm", "group"), ("model.filters", (12, 24))])


@pytest.mark.parametrize("block", ["", "model", "optimizer", "schedule"])
def test_none_is_accepted_exactly_where_a_key_may_be_none(block: str) -> None:
    variants = {"": {"": k.KEYS}}.get(block) or k.VARIANTS[block]
    for name, entries in variants.items():
        start = c.default_config(**({block: name} if block else {}))
        for key, entry in entries.items():
            full = f"{block}.{key}" if block else key
            pair = parse_overrides([(full, "None")])
            if entry.rule.may_be_none:
                assert c.flatten(c.override(start, pair))[full] is None
            else:
                with pytest.raises(InputError):
                    c.override(start, pair)


def test_a_config_saved_before_a_key_existed_gets_its_default() -> None:
    saved = c.to_json(c.default_config("mlp"))
    del saved["eval_batch_size"], saved["model"]["dropout"]
    assert c.from_json(saved).to_dict() == c.default_config("mlp").to_dict()


def test_every_key_says_why() -> None:
    text = c.describe()
    for key, entry in k.KEYS.items():
        assert f"  {key}={entry.default}" in text
        assert entry.why


def test_another_name_brings_its_own_arguments_and_keeps_shared_ones() -> None:
    config = c.override(c.default_config(), [("optimizer.learning_rate", 0.3), ("optimizer.clip_norm", 1)])
    config = c.override(config, [("optimizer.name", "adam"), ("model.name", "mlp"), ("model.hidden", 32)])
    assert "momentum" not in config.optimizer
    assert config.optimizer.b1 == 0.9
    assert config.optimizer.learning_rate == 0.3
    assert config.optimizer.clip_norm == 1.0
    assert config.model.hidden == (32,)


def test_a_block_that_was_overwritten_is_said() -> None:
    config = c.default_config()
    config.model = 3
    with pytest.raises(InputError, match=r"config\.model=3: model is a block"):
        c.validate(config)


def test_a_dict_is_merged_key_by_key() -> None:
    pairs = parse_overrides([("optimizer", "{'learning_rate': 0.2, 'nesterov': True}")])
    config = c.override(c.default_config(), pairs)
    assert config.optimizer.learning_rate == 0.2
    assert config.optimizer.nesterov is True
    assert config.optimizer.momentum == 0.9


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), ("1e-3", 1e-3), ("(32, 64)", (32, 64)), ("true", True), ("False", False), ("None", None),
     ("adam", "adam"), ("[1, 2]", [1, 2])],
)  # fmt: skip
def test_values_from_flags(text: str, value: Any) -> None:
    assert parse_overrides([("x", text)]) == [("x", value)]


def test_a_folder_may_have_a_number_for_a_name() -> None:
    assert parse_overrides([("data.dir", "2024"), ("data.dir", "None")]) == [("data.dir", "2024"), ("data.dir", None)]


@settings(deadline=None)
@given(st.text(max_size=30))
def test_no_text_breaks_the_parser(text: str) -> None:
    config = c.default_config()
    for key in ("optimizer.learning_rate", "model.filters", "augment", "data.dir", text):
        with contextlib.suppress(InputError):
            changed = c.override(config, parse_overrides([(key, text)]))
            assert c.validate(changed).to_dict() == changed.to_dict()


IMPORT = "from cnn_jax.config import default_config\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, ["there is no such file"]),
        ("x = 1", ["does not define get_config()"]),
        ("def get_config(:", ["SyntaxError", "line 1"]),
        ("import cnn_jax.nowhere", ["line 1", "ModuleNotFoundError"]),
        ("def get_config():\n    return 3", ["ConfigDict", "int"]),
        ("def get_config():\n    return 1 / 0", ["line 2", "ZeroDivisionError"]),
        ("def get_config():\n    raise SystemExit(0)", ["line 2", "SystemExit"]),
        (f"{IMPORT}def get_config():\n    x = default_config()\n    x.foo = 3\n    return x",
         ["line 4", "foo"]),
        (f"{IMPORT}def get_config():\n    x = default_config()\n    x.batch_size = 0\n"
         "    return x", ["batch_size=0"]),
        (f"{IMPORT}def get_config():\n    return default_config('cn')", ["did you mean 'cnn'"]),
    ],
)  # fmt: skip
def test_config_files(tmp_path: Path, content: str | None, words: list[str]) -> None:
    path = tmp_path / "mine.py"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError) as caught:
        c.load_config(path)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_shipped_configs_load_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files = sorted((ROOT / "configs").glob("*.py"))
    assert len(files) >= 6
    for file in files:
        assert c.load_config(f"configs/{file.name}").num_epochs >= 1


def test_the_config_needs_no_jax() -> None:
    code = (
        "import sys, cnn_jax.config, cnn_jax.cli.command_line; sys.exit('jax' in sys.modules or 'numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
