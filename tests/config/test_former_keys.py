"""Keys that once had another name, in config files, overrides and stored configs."""

import json
from pathlib import Path

import pytest

from cnn_jax.config import former_keys
from cnn_jax.config.former_keys import FORMER_KEYS
from cnn_jax.config.keys import KEYS, MODELS
from cnn_jax.config.tree import default_config, from_json, load_config, override, to_json, validate
from cnn_jax.errors import InputError
from cnn_jax.runs.search import read_run

VALUES = {"model.edges": "wrap", "model.neck": "global_max", "augment_edges": "reflect", "eval_views": "flip"}


@pytest.fixture(autouse=True)
def _nothing_said_yet() -> None:
    former_keys._announce.cache_clear()


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return sorted(capsys.readouterr().err.splitlines())


EXPECTED = sorted(f"config.{former} is now config.{current}" for former, current in FORMER_KEYS.items())
TODAY = override(default_config("cnn"), [(FORMER_KEYS[key], value) for key, value in VALUES.items()])


def test_table_leads_to_keys_of_today() -> None:
    keys = {*KEYS, *(f"model.{key}" for arguments in MODELS.values() for key in arguments)}
    assert set(FORMER_KEYS.values()) <= keys
    assert not set(FORMER_KEYS) & keys
    assert set(VALUES) == set(FORMER_KEYS)


def test_former_keys_in_config_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "old.py"
    body = "\n".join(f"    config.{key} = {value!r}" for key, value in VALUES.items())
    path.write_text(
        f"from cnn_jax.config import default_config\ndef get_config():\n    config = default_config()\n{body}\n"
        "    return config\n"
    )
    assert load_config(path) == TODAY
    assert lines(capsys) == EXPECTED
    path.write_text(path.read_text().replace("model.edges", "model.edge"))
    with pytest.raises(InputError, match=r'line 4: AttributeError: .*"edge" does not exist'):
        load_config(path)


def test_former_keys_in_overrides(capsys: pytest.CaptureFixture[str]) -> None:
    assert override(default_config("cnn"), VALUES.items()) == TODAY
    assert lines(capsys) == EXPECTED
    blocks = {"model": {"edges": "wrap", "neck": "global_max"}, "augment_edges": "reflect", "eval_views": "flip"}
    assert override(default_config("cnn"), blocks.items()) == TODAY
    assert lines(capsys) == [], "it is said once"
    later = override(default_config("cnn"), [("model.edges", "wrap"), ("model.padding_mode", "crop")])
    assert later.model.padding_mode == "crop", "of two names the later one counts"
    with pytest.raises(InputError, match="the model 'mlp' has no 'padding_mode'"):
        override(default_config("mlp"), [("model.edges", "wrap")])


def test_former_keys_in_stored_config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored = to_json(default_config("cnn"))
    for former, current in FORMER_KEYS.items():
        block, name, new = (stored["model"], former[6:], current[6:]) if "." in former else (stored, former, current)
        del block[new]
        block[name] = VALUES[former]
    assert from_json(stored) == TODAY
    assert lines(capsys) == EXPECTED
    (tmp_path / "config.json").write_text(json.dumps(stored))
    record = read_run(tmp_path, tmp_path)
    assert {FORMER_KEYS[key]: record[FORMER_KEYS[key]] for key in VALUES} == {
        FORMER_KEYS[key]: value for key, value in VALUES.items()
    }
    assert not set(FORMER_KEYS) & set(record)
    assert lines(capsys) == [], "a search says nothing of the runs it reads"


def test_config_with_former_keys_is_taken_by_validate() -> None:
    config = default_config("cnn")
    for key, value in VALUES.items():
        block, _, name = key.rpartition(".")
        setattr(config[block] if block else config, name, value)
    assert validate(config) == TODAY
    with pytest.raises(AttributeError):
        config.model.views = "flip"
