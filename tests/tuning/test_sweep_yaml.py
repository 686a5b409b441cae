"""YAML as sweep files hold it: numbers, what is malformed, and what would never be read to its end."""

from pathlib import Path

import pytest
import yaml

from cnn_jax.tuning.sweeps.file import read_sweep
from tests.support.sweep_files import RATE, VALID, sweep_file, sweep_refusal, write_text


@pytest.mark.parametrize("text", ["1e-3", "1E-3", "1.5e3", "+2e+4", "-1e-3", ".5e1", "1.e2"])
def test_numbers_with_exponents_are_numbers(tmp_path: Path, text: str) -> None:
    assert isinstance(yaml.safe_load(text), str), "PyYAML, and so wandb, reads text"
    path = write_text(tmp_path / "s.yaml", yaml.safe_dump(VALID) + f"description: [\n  {text}]\n")
    sweep = read_sweep(path)
    assert sweep.content["description"] == [float(text)]
    (note,) = sweep.notes
    assert f"line {path.read_text().count(chr(10))}: {text} is read as a number here, but as text by wandb" in note
    spelled = yaml.safe_load(note.rpartition("write ")[2])
    assert spelled == float(text)
    assert isinstance(spelled, float)


def test_quoted_numbers_stay_text(tmp_path: Path) -> None:
    path = write_text(tmp_path / "s.yaml", yaml.safe_dump(VALID) + "description: ['1e-3', 1.0e-3, e5, 1e, 0.1]\n")
    assert read_sweep(path).content["description"] == ["1e-3", 1e-3, "e5", "1e", 0.1]
    assert read_sweep(path).notes == ()


@pytest.mark.parametrize("least", [0.0001, 0])
def test_exponents_that_look_like_values_are_noted(tmp_path: Path, least: float) -> None:
    block = {"distribution": "log_uniform", "min": least, "max": 0.1}
    (note,) = read_sweep(sweep_file(tmp_path, parameters={RATE: block})).notes
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
        ("a: " + "[" * 20_000, "this is no YAML"),
        ("a: 1\n\tb: 2", "line 2: this is no YAML"),
        ("a: " + "9" * 400, "a: a number of 400 digits is too large"),
        ("a: " + "9" * 5000, "this is no YAML"),
        ("a0: &a0 {x: 1}\n" + "".join(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, 12)),
         "its merges hold too many values"),
        ("a: &a [1,1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
         "d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]", "too many values"),
    ],
)  # fmt: skip
def test_malformed_yaml(tmp_path: Path, text: str, words: str) -> None:
    assert words in sweep_refusal(write_text(tmp_path / "sweep.yaml", text))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert "No such file" in sweep_refusal(tmp_path / "nowhere.yaml")
    assert "cannot be read" in sweep_refusal(tmp_path)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x81")
    assert "no text" in sweep_refusal(tmp_path / "binary.yaml")
