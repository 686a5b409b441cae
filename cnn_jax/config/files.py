"""Where config files are, the user's own and those that come along; and what their `get_config()` returns."""

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
# Installed, they lie within the package; in a checkout beside it.
_COME_ALONG = (_PACKAGE / "configs", _PACKAGE.parent / "configs")
_FORM = "a config is a Python file (.py) that defines get_config()"


def find_config(name: str | Path) -> Path:
    """The config file: a path, also relative to a checkout; or the name of one that comes along, as `mnist_cnn`.

    Raises:
      InputError: there is none.
    """
    path = Path(name)
    candidates = [path, _PACKAGE.parent / path]
    if path.parts[:1] == ("configs",):  # as in a checkout, whose folder an installed package does not have
        candidates.append(_PACKAGE / path)
    if len(path.parts) == 1 and not path.suffix:
        candidates += [folder / f"{path}.py" for folder in (Path("configs"), *_COME_ALONG)]
    for candidate in candidates:
        if os.path.isfile(candidate):  # which no name is too long for
            return candidate
    if str(name) and os.path.isdir(path):
        raise InputError(f"--config={name}: this is a folder; {_FORM}")
    names = sorted({file.stem for folder in _COME_ALONG for file in folder.glob("*.py")})
    hint = did_you_mean(path.stem, names) or f"; by name there are {', '.join(names)}"
    raise InputError(f"--config={name}: there is no such file{hint}")


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
