"""The programs of this package by name, and how to start one: as the command `cnn_jax`, or as a script of a checkout.

Texts name programs as the command has them (`cnn_jax train`); `as_started` turns them into what the user typed.
"""

import itertools
import re
import shutil
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from cnn_jax.cli.progress import command, from_here, paste

COMMAND = "cnn_jax"
_PACKAGE = Path(__file__).resolve().parents[1]


class Program(NamedTuple):
    """A program.

    Attributes:
      script: its file in scripts/.
      about: one line, for the list of all.
      saves: whether its `main` takes a `Shutdown` besides the arguments: when a signal comes it has something to save.
    """

    script: str
    about: str
    saves: bool = False

    @property
    def module(self) -> str:
        """The module that has its `main`."""
        return f"{COMMAND}.commands.{Path(self.script).stem}"


PROGRAMS = {
    "train": Program("train.py", "train what a config describes, in a run directory", saves=True),
    "evaluate": Program("evaluate.py", "accuracy with its interval, figures of each class, pictures of mistakes"),
    "predict": Program("predict.py", "classify image files or folders with a trained run"),
    "analyze": Program("analyze.py", "look into a trained run: one page of what its network sees, and why"),
    "audit": Program("audit_data.py", "what may spoil a model in a data set: copies, leaks, wrong labels, odd ones"),
    "runs": Program("runs.py", "all runs below a folder: a table, a comparison, CSV, JSON or a page"),
    "repeat": Program("repeat.py", "train one config over several seeds or folds: mean, spread, interval", saves=True),
    "sweep": Program("sweep.py", "try many configs, from a file in wandb's format, with no server", saves=True),
    "find-lr": Program("find_lr.py", "find a learning rate in a few short sweeps"),
    "find-batch-size": Program("find_batch_size.py", "the batch sizes that fit, and where more stops paying"),
    "show-schedule": Program("show_schedule.py", "draw a config's learning rate over its training"),
    "show-augment": Program("show_augment.py", "draw what augmentation does to training images"),
    "prepare": Program("prepare_data.py", "download a TFDS dataset and prepare it for training"),
}
_NAMES = {name.replace("-", "_"): name for name in PROGRAMS} | {
    Path(program.script).stem: name for name, program in PROGRAMS.items()
}


def find(word: str) -> str | None:
    """The name of a program, which may have hyphens or underscores, or be called as its script is."""
    return _NAMES.get(word.replace("-", "_"))


def checkout() -> Path | None:
    """The folder of the repository that this package lies in; None where the package is installed elsewhere."""
    root = _PACKAGE.parent
    return root if (root / "pyproject.toml").is_file() and (root / "scripts").is_dir() else None


def by_command() -> bool:
    """Whether this process is `cnn_jax ...` or `python -m cnn_jax ...`."""
    return _is_command(sys.argv[0])


def own_name() -> str:
    """What this process calls itself in usage and errors, as `cnn_jax train` or `train.py`."""
    if not by_command():
        return Path(sys.argv[0]).name
    name = find(sys.argv[1]) if len(sys.argv) > 1 else None
    return f"{COMMAND} {name}" if name else COMMAND


def names_in(words: Sequence[str]) -> list[str]:
    """What the programs that a command line runs call themselves in errors."""
    scripts = [Path(word).name for word in words if word.endswith(".py") and not _is_command(word)]
    pairs = itertools.pairwise(words)
    return scripts + [f"{COMMAND} {find(name)}" for word, name in pairs if _is_command(word) and find(name)]


def module_words(name: str) -> list[str]:
    """What runs a program behind an interpreter, from any folder; nothing is imported from the working directory."""
    return ["-P", "-m", COMMAND, name]


def start(name: str, *flags: str) -> str:
    """A command line to paste that starts a program in the way in which this process was started.

    A Python program is told of the scripts where it uses a checkout, else of the command.
    """
    script = _script(name)
    if script is not None:
        here = Path("scripts", script.name)
        return command(str(here if here.exists() else script), *flags)
    return paste([*_launcher(), name, *flags])


def again() -> str:
    """The command line of this process, to paste."""
    return paste([*_launcher(), *sys.argv[1:]]) if by_command() else command(*sys.argv)


def install(extra: str) -> str:
    """The command that installs what an extra needs: from the checkout, or its packages by name, as installed metadata
    lists them."""
    if checkout() is not None:
        return f'pip install -e ".[{extra}]"'
    needed = [one.partition(";") for one in metadata.requires(COMMAND) or ()]
    names = [name.strip() for name, _, when in needed if re.search(rf"extra == ['\"]{extra}['\"]", when)]
    return paste(["pip", "install", *names])


def as_started(text: str) -> str:
    """The text with each `cnn_jax train` as `scripts/train.py` where that is how programs are started."""

    def name(match: re.Match[str]) -> str:
        return f"scripts/{PROGRAMS[match[1]].script}" if _script(match[1]) else match[0]

    return re.sub(rf"\b{COMMAND} ({'|'.join(PROGRAMS)})\b(?!-)", name, text)


def _is_command(word: str) -> bool:
    """Whether the word of a command line is `cnn_jax` or what `python -m cnn_jax` makes of itself."""
    path = Path(word)
    return path.stem == COMMAND or path.parts[-2:] == (COMMAND, "__main__.py")


def _script(name: str) -> Path | None:
    """The script of a program; None where the command is what to type."""
    root = checkout()
    return None if root is None or by_command() else root / "scripts" / PROGRAMS[name].script


def _launcher() -> list[str]:
    """The words that stand for `cnn_jax` in this shell."""
    file = Path(sys.argv[0]) if by_command() else Path(sys.executable).with_name(COMMAND)
    if not file.is_file() or file.name == "__main__.py":
        return [from_here(sys.executable), "-m", COMMAND]
    found = shutil.which(COMMAND)
    return [COMMAND if found and Path(found).resolve() == file.resolve() else from_here(file)]
