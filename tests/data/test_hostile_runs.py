"""A run directory that a stranger hands over runs no code, writes nowhere else, and ends in one line."""

import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from cnn_jax.config.tree import from_json
from cnn_jax.errors import InputError
from cnn_jax.experiment.fitting import fit
from cnn_jax.inference.run import load_run
from tests.support.helpers import refusal, script, tiny_config
from tests.support.hostile import EVIL, Payload, rewrite_config

HUGE = 10**9
# A value for each check that a config meets on its way: the rules of its keys, the sizes of its network, what is
# resolved of its data.
CONFIGS: dict[str, tuple[tuple[str, ...], Any, str]] = {
    "code for a number": (("optimizer", "learning_rate"), EVIL, "it must be a number above 0"),
    "a reference": (
        ("model", "filters"), {"py/object": "ml_collections.FieldReference", "_ops": EVIL}, "the model 'cnn' has no"
    ),
    "an unknown key": (("model", "__class__"), EVIL, "the model 'cnn' has no '__class__'"),
    "a long text": (("model", "activation"), "relu" * 10_000_000, "...: it must be one of relu"),
    "infinity": (("model", "dropout"), float("inf"), "at least 0 and below 1"),
    "huge filters": (("model", "filters"), [HUGE, HUGE], "of different models"),
    "huge layers": (("model", "hidden"), [HUGE] * 3, "this checkpoint is damaged"),
    "huge images": (("resolved", "image_shape"), [10**12, 10**12, 3], "must be a whole number of pixels"),
    "names that are no texts": (("resolved", "class_names"), [{"a": EVIL}] * 10, "no list of texts"),
    "names that are one text": (("resolved", "class_names"), EVIL, "no list of texts"),
    "statistics that are text": (("resolved", "normalization", "mean"), [EVIL], "could not convert"),
    "too many statistics": (("resolved", "normalization", "mean"), [0.5] * 1000, "another number of channels"),
    "no block": (("resolved",), [EVIL], "it is damaged"),
}  # fmt: skip


@pytest.mark.parametrize("what", CONFIGS)
def test_config_values_refused(handed_over: Path, ran: Path, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ran.parent)
    keys, value, words = CONFIGS[what]
    text = json.dumps(value).replace("{ran}", str(ran))
    rewrite_config(handed_over, *keys, value=json.loads(text))
    assert words in refusal(load_run, handed_over)
    assert not ran.exists()


@pytest.mark.parametrize("depth", [500, 100_000])
def test_a_config_of_endless_depth(handed_over: Path, depth: int) -> None:
    config = (handed_over / "config.json").read_text().rstrip().removesuffix("}")
    (handed_over / "config.json").write_text(config + ', "seed": ' + '{"a": ' * depth + "1" + "}" * depth + "}")
    assert "config" in refusal(load_run, handed_over)


def test_a_config_that_is_nested_deeper_than_python_goes() -> None:
    tree: dict[str, Any] = {}
    for _ in range(10_000):
        tree = {"seed": tree}
    assert "nested too deeply" in refusal(from_json, tree)


def fingerprint(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*")) if path.is_file()
    }  # fmt: skip


def test_code_that_lies_in_a_run_directory(handed_over: Path, ran: Path, photographs: list[Path]) -> None:
    """Modules that Python or libraries look for, pickles, links: none of them is touched."""
    code = f"open({str(ran)!r}, 'w')\n"
    names = ("sitecustomize.py", "usercustomize.py", "jax.py", "numpy.py", "conftest.py", "__init__.py", "config.py")
    folders = [handed_over, handed_over / "checkpoints", *(handed_over / "checkpoints").glob("*/state")]
    for folder in folders:
        for name in names:
            (folder / name).write_text(code)
        for name in ("checkpoint.pkl", "aggregate.pkl", "model.pickle"):
            (folder / name).write_bytes(pickle.dumps(Payload(ran)))
    result = script("evaluate.py", f"--workdir={handed_over}")
    assert result.returncode == 0, result.stderr
    predicted = script("predict.py", f"--workdir={handed_over}", photographs[0])
    assert predicted.returncode == 0, predicted.stderr
    assert not ran.exists()


def test_pickles_in_place_of_a_checkpoint(handed_over: Path, ran: Path) -> None:
    for path in (handed_over / "checkpoints").rglob("*"):
        if path.is_file():
            path.write_bytes(pickle.dumps(Payload(ran)))
    refusal(load_run, handed_over)
    assert not ran.exists()


def test_links_in_place_of_checkpoints(handed_over: Path, tmp_path: Path) -> None:
    """A run that goes on deletes old checkpoints of its own, and nothing that a link leads to."""
    victim = tmp_path / "victim"
    (victim / "documents").mkdir(parents=True)
    (victim / "documents/letter.txt").write_text("dear")
    before = fingerprint(victim)
    for step in (1, 2, 3):
        (handed_over / "checkpoints" / str(step)).symlink_to(victim)
    (handed_over / "plots/curves.png").unlink()
    with pytest.raises(InputError, match=r"checkpoints/\d: this is a symbolic link"):
        fit(tiny_config(num_epochs=5), handed_over)
    assert fingerprint(victim) == before
