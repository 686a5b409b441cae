"""Where config and sweep files are: the user's own, and those that come along."""

from pathlib import Path

from cnn_jax.config.rules import did_you_mean
from cnn_jax.errors import InputError

_PACKAGE = Path(__file__).parents[1]
# In an installed package the folder configs/ lies within it, in a checkout beside it.
_HOME = _PACKAGE if (_PACKAGE / "configs").is_dir() else _PACKAGE.parent
_CONFIGS, _SWEEPS = Path("configs"), Path("configs/sweeps")


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
        if candidate.is_file():
            return candidate
    names = sorted(file.stem for file in (_HOME / folder).glob(f"*{suffix}"))
    hint = did_you_mean(path.stem, names) or f"; by name there are {', '.join(names)}"
    raise InputError(f"{flag}={name}: there is no such file{hint}")
