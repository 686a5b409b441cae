"""Malformed inputs as tables: what people and broken disks hand to the commands, with words of the line that is due.

Each mutation is a name and what it makes; a seeded fuzzer cuts and flips bytes beyond them.
"""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

_GET = "from cnn_jax.config import default_config\ndef get_config():\n    c = default_config()\n    c.unlock()\n"


def _sets(code: str) -> str:
    return f"{_GET}    {code}\n    return c\n"


# {what: (content of config.py, words)}
CONFIGS: dict[str, tuple[str | bytes, str]] = {
    "syntax": ("def get_config(:\n", "line 1: SyntaxError: invalid syntax"),
    "empty": ("", "does not define get_config()"),
    "bytes": (bytes(range(256)), "SyntaxError"),
    "UTF-16": ("x = 1".encode("utf-16"), "SyntaxError"),
    "an import": ("import no_such_module", "line 1: ModuleNotFoundError: No module named 'no_such_module'"),
    "an exit": ("raise SystemExit", "line 1: SystemExit"),
    "no Exception": ("class Own(BaseException): ...\nraise Own('said')", "line 2: Own: said"),
    "an error that says nothing": ("class E(Exception):\n    def __str__(self): 1 / 0\nraise E()", "line 3: E"),
    "a long error": ("raise ValueError('x' * 100_000)", "line 1: ValueError: xxx"),
    "colours": ("raise ValueError('\\x1b[31mred\\n\\ud800')", r"ValueError: \x1b[31mred \ud800"),
    "not callable": ("get_config = 3", "TypeError: 'int' object is not callable"),
    "an argument": ("def get_config(name): ...", "missing 1 required positional argument"),
    "None": ("def get_config(): ...", "must return a ConfigDict, not NoneType"),
    "a dict": ("def get_config(): return {}", "must return a ConfigDict, not dict"),
    "a block in itself": (_sets("c.model = c"), "does a block hold itself?"),
    "a key that is no text": (_sets("c[3] = 4"), "the keys of a config must be text"),
    "a list in itself": (_sets("l = []; l.append(l); c.model.filters = l"), "config.model.filters=([[...]],): it"),
    "no repr": (_sets("c.seed = type('R', (), {'__repr__': lambda self: 1 / 0})()"), "config.seed=<R>: it must be"),
    "no int": (_sets("c.seed = type('R', (), {'__int__': lambda self: 1 / 0})()"), "it must be a whole number"),
    "an array": (_sets("import numpy; c.seed = numpy.arange(2)"), "config.seed=array([0, 1]): it must be"),
    "NaN": (_sets("c.optimizer.learning_rate = float('nan')"), "config.optimizer.learning_rate=nan: it must"),
    "infinity": (_sets("c.num_epochs = float('inf')"), "config.num_epochs=inf: it must be a whole number"),
    "a huge number": (_sets("c.num_epochs = 10**30"), "and at most 2147483647"),
    "a number for a block": (_sets("c.model = 3"), "config.model=3: model is a block of keys"),
    "an unknown key": (_sets("c.optimizer.lr = 3"), "did you mean 'learning_rate'?"),
    "a name": ("from cnn_jax.config import register\nregister.model('a b', print)", "register.model('a b')"),
}  # fmt: skip

# {what: (the path, words)} beside config.py; `malformed_paths` makes what is to be there
PATHS = {
    "nowhere": ("nowhere.py", "there is no such file"),
    "a folder": ("folder", "this is a folder"),
    "a library": ("library.so", "a config is a Python file (.py)"),
    "a long name": (f"{'x' * 300}.py", "there is no such file"),
    "below a file": ("library.so/config.py", "there is no such file"),
    "a link to itself": ("loop.py", "there is no such file"),
    "a pipe": ("pipe.py", "there is no such file"),
    "nothing": ("", "there is no such file"),
}


def malformed_paths(folder: Path) -> None:
    (folder / "folder").mkdir()
    (folder / "library.so").write_bytes(b"\x7fELF")
    (folder / "loop.py").symlink_to("loop.py")
    os.mkfifo(folder / "pipe.py")


_ROWS = "".join(f"{name}/{i}.png,{name}\n" for name in ("cat", "dog") for i in range(4))
_GOOD = f"path,label\n{_ROWS}"
# {what: (content of the manifest, words)}; its pictures are there
MANIFESTS: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "no column path and no column label"),
    "a header alone": ("path,label\n", "no rows below its header"),
    "no label column": (_GOOD.replace("label", "klass"), "its first line names path, klass: choose with"),
    "a column twice": (f"path,path,label\n{_ROWS}", "names a column twice (path, path)"),
    "more cells": (f"{_GOOD}cat/0.png,cat,train,x\n", "line 10: it has more cells"),
    "fewer cells": (f"{_GOOD}cat/0.png\n", "line 10: its label is empty"),
    "no labels": (_GOOD.replace(",cat", ",").replace(",dog", ","), "8 of 8 rows cannot be used"),
    "a zero byte": (_GOOD.replace("cat/1", "cat\0/1"), "line 3: its path contains a zero byte"),
    "an open quote": (f'{_GOOD}"cat/0.png,cat\n', "this is not a CSV file (unexpected end of data)"),
    "a huge cell": (f"{_GOOD}cat/0.png,{'y' * 200_000}\n", "field larger than field limit"),
    "bytes": (bytes(range(256)), "no text in UTF-8"),
    "latin-1": (_GOOD.replace(",cat", ",c\xe4t").encode("latin-1"), "no text in UTF-8 (line 2: cat/0.png,cät)"),
    "UTF-16 that is cut": (_GOOD.encode("utf-16")[:-1], "no text in UTF-8"),
    "UTF-32": (_GOOD.encode("utf-32"), "UTF-32"),
    "a spreadsheet": (b"PK\x03\x04", "a spreadsheet or an archive"),
    "a web page": ("<html>404</html>", "its first line names <html>404</html>"),
    "one class": (_GOOD[: _GOOD.index("dog")], "all rows have the label 'cat'"),
    "no training rows": (_GOOD.replace("label", "label,split").replace("t\n", "t,test\n").replace("g\n", "g,test\n"),
                         "no row has the split 'train'"),
    "an unknown split": (f"path,label,split\n{_ROWS}cat/0.png,cat,tset\n", "split 'tset' must be train"),
    "other paths": (_GOOD.replace("/", "/no/"), "none of its 8 files is there"),
    "two labels": (f"{_GOOD}cat/0.png,dog\n", "lines 2, 10: cat/0.png has the labels cat, dog"),
    "a device": (f"{_GOOD}/dev/zero,cat\n", "1 of 9 images cannot be used"),
    "a folder": (f"{_GOOD}cat,cat\n", "1 of 9 images cannot be used"),
    "a long path": (f"{_GOOD}{'x' * 5000},cat\n", "1 of 9 images cannot be used"),
}  # fmt: skip


def _break_all(photos: Path) -> None:
    for path in photos.glob("*/*"):
        path.write_bytes(path.read_bytes()[:40])


def _file(photos: Path) -> None:
    shutil.rmtree(photos)
    photos.write_text("x")


def _empty(photos: Path) -> None:
    shutil.rmtree(photos)
    photos.mkdir()


def _empty_classes(photos: Path) -> None:
    for path in photos.glob("*/*"):
        path.unlink()


FOLDERS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "gone": (shutil.rmtree, "there is no such folder"),
    "a file": (_file, "photos"),
    "empty": (_empty, "photos"),
    "one class": (lambda photos: shutil.rmtree(photos / "dog"), "one class"),
    "empty classes": (_empty_classes, "photos"),
    "all broken": (_break_all, "none of the 8 files that were looked at can be read"),
}

RATE = "config.optimizer.learning_rate"
_HEAD = "program: scripts/train.py\nmethod: random\nrun_cap: 1\nmetric: {name: validation_accuracy, goal: maximize}\n"


def _rate(block: str, method: str = "random") -> str:
    return _HEAD.replace("random", method) + f"parameters:\n  {RATE}: {block}\n"


# {what: (content of sweep.yaml, words)}
SWEEPS: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "a sweep file is a block of keys"),
    "a list": ("- 1", "a sweep file is a block of keys"),
    "a tab": ("a:\n\tb: 1", "line 2: this is no YAML"),
    "an open list": ("a: [1, 2", "this is no YAML"),
    "two documents": ("a: 1\n---\nb: 2\n", "this is no YAML"),
    "an unknown anchor": ("a: *x", "undefined alias"),
    "a cycle": ("a: &x\n  b: *x\n", "nested too deeply"),
    "a bomb": ("\n".join([f"a0: &a0 [{'x,' * 9}]", *(f"a{i}: &a{i} [{f'*a{i - 1},' * 9}]" for i in range(1, 9))]),
               "holds too many values"),
    "deep": (f"a: {'[' * 3000}{']' * 3000}", "this is no YAML"),
    "code": ("!!python/object/apply:os.system ['touch ran']", "could not determine a constructor"),
    "a date": (_rate("{value: 2020-01-01}"), "put it in quotes"),
    "bytes": (bytes(range(256)), "this is no text"),
    "a zero byte": ("a: \0", "special characters are not allowed"),
    "no method": (_rate("{value: 1}").replace("method: random\n", ""), "method is missing"),
    "a method": (_rate("{value: 1}", "grd"), "did you mean 'grid'?"),
    "no parameters": (_HEAD, "parameters are missing"),
    "min above max": (_rate("{min: 1, max: 0}"), "min=1 must be below max=0"),
    "NaN": (_rate("{min: .nan, max: 1}"), "nan is no finite number"),
    "no values": (_rate("{values: []}"), "it must be a list of at least one value"),
    "text for a number": (_rate("{values: [fast]}"), "it must be a number above 0"),
    "a log of 0": (_rate("{distribution: log_uniform_values, min: 0, max: 1}"), "must be above 0"),
    "a distribution": (_rate("{distribution: gauss}"), "there is no distribution 'gauss'"),
    "a grid of floats": (_rate("{min: 0.1, max: 0.2}", "grid"), "grid"),
    "a huge grid": (_HEAD.replace("random", "grid").replace("run_cap: 1\n", "") + "parameters:\n  config.seed: "
                    "{min: 0, max: 2147483647}\n  config.batch_size: {min: 1, max: 1000000000}\n", "grid"),
    "an unknown key": (_rate("{value: 0.1}") + "foo: 3\n", "there is no key 'foo'"),
    "an unknown parameter": (_rate("{value: 0.1}").replace("learning_rate", "lr"), "has no 'lr'"),
    "a long program": (_rate("{value: 0.1}").replace("scripts/train.py", "x" * 3000), "there is no such file"),
    "a list for a metric": (_rate("{value: 0.1}").replace("goal: maximize", "goal: [maximize]"), "must be minimize or"),
}  # fmt: skip


def damage_json(name: str, change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    """A mutation that changes a JSON file of a run directory."""

    def damage(run: Path) -> None:
        content = json.loads((run / name).read_text())
        change(content)
        (run / name).write_text(json.dumps(content))

    return damage


def replace_file(name: str, content: bytes) -> Callable[[Path], Any]:
    return lambda run: (run / name).write_bytes(content)


def cut(name: str) -> Callable[[Path], Any]:
    return lambda run: (run / name).write_bytes((run / name).read_bytes()[:-20])


def put_folder(name: str) -> Callable[[Path], None]:
    def put(run: Path) -> None:
        (run / name).unlink()
        (run / name).mkdir()

    return put


def put_pipe(name: str) -> Callable[[Path], None]:
    def put(run: Path) -> None:
        (run / name).unlink()
        os.mkfifo(run / name)

    return put


def put_file(name: str) -> Callable[[Path], None]:
    def put(run: Path) -> None:
        shutil.rmtree(run / name)
        (run / name).write_text("x")

    return put


# {what: (what it does to a finished run directory, words)}: no command can use it
RUNS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "gone": (shutil.rmtree, "not a run directory"),
    "no config": (lambda run: (run / "config.json").unlink(), "run"),
    "a cut config": (cut("config.json"), "config.json: it cannot be read"),
    "an empty config": (replace_file("config.json", b""), "config.json: it cannot be read"),
    "bytes for a config": (replace_file("config.json", bytes(range(256))), "config.json: it cannot be read"),
    "a list for a config": (replace_file("config.json", b"[]"), "it holds no JSON object"),
    "a folder for a config": (put_folder("config.json"), "config.json: it cannot be read (a folder)"),
    "a pipe for a config": (put_pipe("config.json"), "config.json: it cannot be read (not a regular file)"),
    "resolved is a number": (damage_json("config.json", lambda c: c.update(resolved=3)), "config.json: it is damaged"),
    "resolved is a list": (damage_json("config.json", lambda c: c.update(resolved=[3])), "config.json: it is damaged"),
    "another model": (damage_json("config.json", lambda c: c["model"].update(name="nope")), "there is no such name"),
    "a wrong value": (damage_json("config.json", lambda c: c.update(seed=-1)), "config.seed=-1: it must be"),
    "a key of the future": (damage_json("config.json", lambda c: c.update(new=3)), "config.new: there is no such key"),
    "a file for checkpoints": (put_file("checkpoints"), "checkpoints"),
}  # fmt: skip
# What a command finds out that reads the weights, or goes on with the training.
CHECKPOINTS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no state": (lambda step: shutil.rmtree(step / "state"), "this checkpoint is damaged"),
    "no progress": (lambda step: shutil.rmtree(step / "progress"), "this checkpoint is damaged"),
    "an empty step": (lambda step: [shutil.rmtree(path) for path in step.iterdir() if path.is_dir()], "is damaged"),
    "a file for the state": (put_file("state"), "this checkpoint is damaged"),
    "cut progress": (cut("progress/metadata"), "this checkpoint is damaged"),
    "other progress": (replace_file("progress/metadata", b"{}"), "its progress is not what was saved"),
    "cut checksums": (cut("checksums/metadata"), "this checkpoint is damaged"),
    "no manifest": (lambda step: (step / "state/manifest.ocdbt").unlink(), "this checkpoint is damaged"),
}  # fmt: skip
# What only the end of a run says.
SUMMARIES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a cut summary": (cut("summary.json"), "summary.json: it cannot be read"),
    "an empty summary": (replace_file("summary.json", b"{}"), "summary.json: it is damaged (there is no 'epochs')"),
    "text in a summary": (
        damage_json("summary.json", lambda s: s.update(test_accuracy="good")), "its test_accuracy is no number"
    ),
    "None in a summary": (
        damage_json("summary.json", lambda s: s.update(wall_seconds=None)), "its wall_seconds is no number"
    ),
}  # fmt: skip


def flip_bytes(path: Path, seed: int) -> None:
    """Changes a few bytes of a file, or cuts it off, as a seed says."""
    random = np.random.RandomState(seed)
    content = bytearray(path.read_bytes())
    for _ in range(1 + random.randint(8)):
        content[random.randint(len(content))] ^= 1 + random.randint(255)
    path.write_bytes(content[: random.randint(1, len(content) + 1)] if random.randint(2) else content)
