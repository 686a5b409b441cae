"""Where config and sweep files are: the user's own, and those that come along; and what a config file returns."""

import hashlib
import importlib.util
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from cnn_jax.config.rules import did_you_mean
from cnn_jax.errors import InputError, reason_of

_PACKAGE = Path(__file__).parents[1]
# In an installed package the folder configs/ lies within it, in a checkout beside it.
_HOME = _PACKAGE if (_PACKAGE / "configs").is_dir() else _PACKAGE.parent
_CONFIGS, _SWEEPS = Path("configs"), Path("configs/sweeps")
_FORM = "a config is a Python file (.py) that defines get_config()"


def find_config(name: str | Path) -> Path:
    """The config file: a path, also relative to a checkout; or the name of one that comes along, as `mnist_cnn`.

    Raises:
      InputError: there is none.
    """
    return _find("--config", name, _CONFIGS, ".py")


def find_sweep(name: str | Path) -> Path:
    """The sweep file: a path, also relative to a checkout; or the name of one that comes along, as `digits_quick`.

    Raises:
      InputError: there is none.
    """
    return _find("--sweep", name, _SWEEPS, ".yaml")


def is_config(name: str | Path) -> bool:
    """Whether `find_config` finds a config file of that name."""
    try:
        return find_config(name).suffix == ".py"
    except InputError:
        return False


def comes_along(name: str | Path) -> bool:
    """Whether `find_config` finds the file among those that come along; a file of the user's own is none of them."""
    try:
        return find_config(name).resolve().parent == (_HOME / _CONFIGS).resolve()
    except InputError:
        return False


def _find(flag: str, name: str | Path, folder: Path, suffix: str) -> Path:
    path = Path(name)
    candidates = [path]
    if _HOME != _PACKAGE or path.parts[:1] == _CONFIGS.parts:  # of a package only its configs are meant
        candidates.append(_HOME / path)
    if len(path.parts) == 1 and not path.suffix:
        candidates += [place / folder / f"{path}{suffix}" for place in (Path(), _HOME)]
    for candidate in candidates:
        if os.path.isfile(candidate):  # which no name is too long for
            return candidate
    if str(name) and os.path.isdir(path):
        form = f"; {_FORM}" if suffix == ".py" else ""
        raise InputError(f"{flag}={name}: this is a folder{form}")
    names = sorted(file.stem for file in (_HOME / folder).glob(f"*{suffix}"))
    hint = did_you_mean(path.stem, names) or f"; by name there are {', '.join(names)}"
    raise InputError(f"{flag}={name}: there is no such file{hint}")


def run_config_file(path: str | Path) -> Any:
    """What the `get_config()` of a file returns.

    Raises:
      InputError: there is no such file, it does not define `get_config`, or it fails, however it does.
    """
    found = find_config(path)
    if found.suffix != ".py":  # Python would run others, too: compiled ones, libraries
        raise InputError(f"--config={path}: {_FORM}")
    # The same file has the same name, so that what it registers twice is known to be the same.
    name = f"cnn_jax_config_file_{hashlib.sha256(bytes(found.resolve())).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, found)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        if not hasattr(module, "get_config"):
            raise InputError(f"--config={path}: the file does not define get_config()")
        return module.get_config()
    except (InputError, KeyboardInterrupt):
        raise
    except BaseException as error:  # whatever the user's own code raises, exits among it
        raise InputError(f"--config={path}{_line(error, spec.origin)}: {_said(error)}") from error


def _line(error: BaseException, file: str | None) -> str:
    """`, line 3`: where in the file it failed; nothing where that is not known."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    line = getattr(error, "lineno", None) or (lines[-1] if lines else None)
    return "" if line is None else f", line {line}"


def _said(error: BaseException) -> str:
    kind, words = type(error).__name__, reason_of(error)
    # ConfigDict lists the whole config behind an unknown key; its first sentence says what is wrong.
    words = words.partition(" Other fields present")[0]
    words = words[1:] if words.startswith("'Key ") else words
    return kind if words == kind else f"{kind}: {words}"
