"""The config tree: defaults, overrides, files, and one clear line for every mistake."""

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cnn_jax import ops
from cnn_jax.config import keys as k
from cnn_jax.config import model_keys
from cnn_jax.config import tree as c
from cnn_jax.config.describe import describe
from cnn_jax.config.overrides import parse_overrides
from cnn_jax.config.schedule_keys import SHARED
from cnn_jax.errors import InputError
from cnn_jax.models import activations, initializers
from cnn_jax.optimization import schedules
from tests.support.helpers import ROOT, refusal
from tests.support.networks import family


def defaults(callable_: Any, skip: tuple[str, ...]) -> dict[str, Any]:
    parameters = inspect.signature(callable_).parameters
    return {name: p.default for name, p in parameters.items() if name not in skip and p.kind is not p.VAR_KEYWORD}


@pytest.mark.parametrize("name", k.MODELS)
def test_models_arguments_are_the_keys_with_the_same_defaults(name: str) -> None:
    """But for the parts that make one network of a family another."""
    parts = {"ResNet": ("blocks", "widths", "block", "stem"), "MobileNetV2": ("stages",),
             "MobileNetV3": ("stages", "hidden"), "ResNetCifar": ("blocks", "widths"),
             "ConvNeXt": ("depths", "widths"), "ViT": ("width", "heads", "depth"),
             "CoAtNet": ("depths", "widths", "stem", "blocks", "activation", "hidden"),
             "RegNet": ("depth", "initial_width", "slope", "multiplier", "group_width", "squeezes"),
             "AlexNet": ("hidden",), "AlexNet2012": ("hidden",), "VGG": ("blocks", "widths", "hidden", "norm"),
             "EfficientNet": ("stages", "width_multiplier", "depth_multiplier", "activation", "squeezes", "scales_ends")
             }.get(family(name), ())  # fmt: skip
    parts += ("origin",) if "origin" not in k.MODELS[name] else ()
    ours = defaults(k.MODELS[name].load(), ("num_classes", "compute", "parent", "name", *parts))
    functions = {"activation": activations.ACTIVATIONS, "initialization": initializers.INITIALIZATIONS}
    keys = {key: functions.get(key, {}).get(entry.default, entry.default) for key, entry in k.MODELS[name].items()}
    assert keys == ours


@pytest.mark.parametrize("name", k.OPTIMIZERS)
def test_optimizers_take_the_keys(name: str) -> None:
    taken_before = {"learning_rate", "decay_bias_and_norm", "clip_norm", "rate_multipliers"}
    taken_before |= {"layer_decay", "lookahead_steps", "lookahead_decay"}
    assert set(k.OPTIMIZERS[name]) - taken_before == set(defaults(k.OPTIMIZERS[name].load(), ("rate", "mask")))


@pytest.mark.parametrize("name", k.SCHEDULES)
def test_schedules_take_the_keys(name: str) -> None:
    own = set(k.SCHEDULES[name]) - set(SHARED)
    assert len(own) == len(k.SCHEDULES[name]) - 3
    if name == "ReduceLROnPlateau":
        assert own == set(schedules.plateau_arguments(c.default_config(schedule=name).schedule) or ())
    else:
        assert own == set(defaults(k.SCHEDULES[name].load(), ("base", "clock")))


@pytest.mark.parametrize("name", k.LOSSES)
def test_losses_take_the_keys_with_the_same_defaults(name: str) -> None:
    ours = defaults(k.LOSSES[name].load(), ("logits", "labels", "class_weights"))
    assert {key: entry.default for key, entry in k.LOSSES[name].items() if key != "class_weights"} == ours


def test_tables_hold_the_names_of_the_config() -> None:
    assert set(model_keys.INITIALIZATIONS) == set(initializers.INITIALIZATIONS)
    assert set(model_keys.ACTIVATIONS) == set(activations.ACTIVATIONS)
    assert set(k.PADDING_MODES) == {*ops.PAD_MODES, "crop", "same", "full"}
    assert all(callable(entry.load()) for entry in (*k.AUGMENTATIONS.values(), *k.SOURCES.values()))
    assert all(entry.rule(entry.default) == entry.default for entry in k.AUGMENTATIONS.values())
    assert k.KEYS["data.source"].rule.choices == tuple(k.SOURCES)


NAMES = [list(table) for table in (k.MODELS, k.OPTIMIZERS, k.SCHEDULES)]


@pytest.mark.parametrize("number", range(max(map(len, NAMES))))
def test_defaults_survive_json(number: int) -> None:
    """Blocks do not know each other: each name of each block once is enough."""
    config = c.default_config(*(names[number % len(names)] for names in NAMES))
    assert c.validate(config).to_dict() == config.to_dict()
    assert c.from_json(c.to_json(config)).to_dict() == config.to_dict()


def test_defaults_are_valid_together() -> None:
    """A schedule looks at the optimizer's rate and momentum."""
    for optimizer in k.OPTIMIZERS:
        for schedule in k.SCHEDULES:
            config = c.default_config(optimizer=optimizer, schedule=schedule)
            assert c.validate(config).to_dict() == config.to_dict()


MISTAKES: dict[str, list[tuple[Any, str]]] = {
    "bath_size": [(3, "did you mean 'batch_size'")],
    "optimzer.learning_rate": [(1, "did you mean 'optimizer.learning_rate'")],
    "optimizer.lr": [(0.1, "the optimizer 'sgd' has no 'lr' (did you mean 'learning_rate'?); it has name,")],
    "model.hiden": [(3, "the model 'cnn' has no 'hiden' (did you mean 'hidden'?)")],
    "data.source.deep": [(3, "no such key")],
    "schedule.name": [("steplr", "one of constant"), ("steplr", "did you mean 'StepLR'"), ("StepL", "mean 'StepLR'")],
    "model.name": [("resnet19", "one of linear"), ("resnet19", "did you mean 'resnet18'"), (["cnn"], "one of linear")],
    "data.source": [
        ("tfd", "digits, tfds"), ("tfd", "did you mean 'tfds'"), ("tfds", "needs the dataset's name, as in data.name"),
    ],
    "data.name": [("mnist", "data.source=tfds")],
    "batch_size": [
        (0, "batch_size=0: it must be a whole number of at least 1"), (-4, "batch_size=-4"), (2.5, "whole number"),
        ("many", "'many'"), (True, "whole number"), (float("inf"), "whole number"), (10**20, "whole number"),
    ],
    "optimizer.learning_rate": [
        (-0.1, "a number above 0"), (float("nan"), "above 0"), (float("inf"), "above 0"), ("fast", "a number"),
        (1e300, "a number above 0"), (10**400, "a number above 0"),
    ],
    "precision": [("half", "float32, bfloat16, float16, float64")],
    "augment_padding_mode": [("crop", "one of zero, extend, reflect, wrap")],
    "optimizer.momentum": [(1.0, "below 1")],
    "optimizer.nesterov": [(1, "True or False")],
    "model.filters": [((), "at least 1"), ((8, 0), "at least 1"), ("wide", "whole number")],
    "model.stem": [
        ((16, 5), "(filters, kernel size, stride) as in (16, 5, 2)"), ((16, 5), "None"), ((16, 5, 0), "kernel size"),
    ],
    "model.kernel_size": [((3, 3, 3), "(height, width)")],
    "data.validation": [(1.5, "fraction"), (-1, "fraction"), (1.0, "fraction")],
    "data.channels": [(2, "1 (gray) or 3")],
    "data.image_size": [(99_999_999, "whole number of pixels")],
    "augment": [
        ("flip", "pairs"), (((3, 0.5),), "(name, strength) pairs"),
        ((("flip",),), "a tuple of (name, strength) pairs, as in (('flip', 0.5), ('translate', 2))"),
        ((("flp", 0.5),), "has no 'flp' (did you mean 'flip'?); there are rotate, translate"),
        ((("flip", 2),), "('flip', 2): the strength of 'flip' must be a number of at least 0 and of at most 1"),
        ((("translate", -1),), "translate"),
        ((("randaugment", 9),), "of 'randaugment' must be (number of operations of at least 1"),
        ((("random_resized_crop", (0.9, 0.1)),), "must be (least, most) share of the area"),
        ((("elastic", (4.5, 4.0)),), "pixels from 0 to sigma: more would fold images"),
        ((("elastic", 1.0),), "must be (pixels, sigma), sigma from 1 to 1024, pixels from 0 to sigma"),
    ],
    "data": [(3, "this is a block"), (3, "data.source")],
    "seed": [({}, "sets nothing")],
    "model": [({"name": {}}, "config.model.name={}"), ({"name": {}}, "one of linear")],
    "optimizer": [("adamw", "--config.optimizer.name=adamw"), ({}, "sets nothing")],
}  # fmt: skip


@pytest.mark.parametrize("key", MISTAKES)
def test_mistake_is_a_line_with_its_key(key: str) -> None:
    for value, words in MISTAKES[key]:
        message = refusal(c.override, c.default_config(), [(key, value)])
        assert key in message or key.split(".")[0] in message
        assert words in message


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
    described = describe()
    assert all(f"('{name}', {entry.default})" in described for name, entry in k.AUGMENTATIONS.items())


def test_choices_together() -> None:
    config = c.default_config()
    without_momentum = [("optimizer.nesterov", True), ("optimizer.momentum", 0)]
    assert "momentum above 0" in refusal(c.override, config, without_momentum)
    odd_groups = [("model.norm", "group"), ("model.filters", (12, 24))]
    assert "divide every entry" in refusal(c.override, config, odd_groups)


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
    text = describe()
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
    assert "config.model=3: model is a block" in refusal(c.validate, config)


def test_a_dict_is_merged_key_by_key() -> None:
    pairs = parse_overrides([("optimizer", "{'learning_rate': 0.2, 'nesterov': True}")])
    config = c.override(c.default_config(), pairs)
    assert config.optimizer.learning_rate == 0.2
    assert config.optimizer.nesterov is True
    assert config.optimizer.momentum == 0.9


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
    message = refusal(c.load_config, path)
    for word in words:
        assert word in message


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
