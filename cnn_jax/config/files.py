"""Where config files are: the user's own, and those that come along."""

from pathlib import Path

from cnn_jax.config.rules import did_you_mean
from cnn_jax.errors import InputError

_PACKAGE = Path(__file__).parents[1]
# Installed, they lie within the package; in a checkout beside it.
_COME_ALONG = (_PACKAGE / "configs", _PACKAGE.parent / "configs")


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
        if candidate.is_file():
            return candidate
    names = sorted({file.stem for folder in _COME_ALONG for file in folder.glob("*.py")})
    hint = did_you_mean(path.stem, names) or f"; by name there are {', '.join(names)}"
    raise InputError(f"--config={name}: there is no such file{hint}")
