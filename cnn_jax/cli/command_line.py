"""What all scripts share: `--config` and its overrides, errors as one line, exit statuses."""

import argparse
import io
import itertools
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import ml_collections

from cnn_jax.cli import programs
from cnn_jax.cli.signals import Shutdown, Stopped, end_on_signals, leave
from cnn_jax.config import tree as config_module
from cnn_jax.config.describe import describe, describe_usual
from cnn_jax.config.files import is_config
from cnn_jax.config.overrides import Pairs, split
from cnn_jax.config.suggestions import meant_key
from cnn_jax.errors import HostsError, InputError, Interrupted, NonFiniteError, SaveError, one_line
from cnn_jax.runtime.allocator import keep_memory

# What other trainers call it.
_WORKDIR = (
    "output", "output_dir", "out", "out_dir", "outdir", "save_dir", "save_path", "log_dir", "logdir", "run_dir", "run",
    "exp_dir", "work_dir", "ckpt_dir", "checkpoint_dir", "default_root_dir",
)  # fmt: skip


class Parser(argparse.ArgumentParser):
    """argparse whose errors are one line, and which knows `--config.key=value`.

    Args:
      with_config: adds --config=FILE and --config.KEY=VALUE, for `load_config`.
      with_run: adds --workdir=DIR of a run, and --config=FILE, which `parse` runs for the names that it registers.
    """

    def __init__(self, description: str | None, with_config: bool = False, with_run: bool = False):
        super().__init__(
            prog=programs.own_name(), description=description, allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            add_help=not with_config,
        )  # fmt: skip
        self._with_config, self._with_run = with_config, with_run
        self._overrides: Pairs = []
        self._file_of_help: str | None = None
        self._words: list[str] = []
        if with_config:
            self.add_argument(
                "-h", "--help", nargs="?", const="", metavar="TOPIC", action=_Help,
                help="this text; or the config keys of a block (--help=model), or all of them (--help=all)",
            )  # fmt: skip
            self.add_argument(
                "--config", default="configs/digits.py", metavar="FILE",
                help="a Python file that defines get_config(), or the name of one that comes along, as mnist_cnn "
                "(default: %(default)s)",
            )  # fmt: skip
            self.add_argument("--config.KEY", metavar="VALUE", dest="_", help="sets one key of the config; see below")
        if with_run:
            self.add_argument("--workdir", required=True, metavar="DIR", help="the run directory")
            self.add_argument(
                "--config", metavar="FILE", help="the run's config file, if it registers names of its own"
            )

    def parse(self, argv: Sequence[str]) -> argparse.Namespace:
        """The flags; overrides of the config are kept for `load_config`."""
        if self._with_config:
            argv, self._overrides = split(argv)
            if any(word in ("-h", "--help") or word.startswith("--help=") for word in argv):
                peek = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
                peek.add_argument("--config", nargs="?", default=self.get_default("config"))
                self._file_of_help = peek.parse_known_args(argv)[0].config
                register_names(self._file_of_help)  # which help lists, too
        self._words = list(argv)
        arguments, unknown = self.parse_known_args(argv)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}{_did_you_mean(map(self._meant_flag, unknown))}")
        if self._with_run:
            register_names(arguments.config)
        return arguments

    def _meant_flag(self, word: str) -> str | None:
        """What an unknown word stands for, where anything is close: a flag of the script, or one that sets a key."""
        name = word.partition("=")[0]
        flags = [flag for action in self._actions for flag in action.option_strings if flag.startswith("--")]
        if not name.startswith("-"):
            return self._flag_of_place(word, flags)
        if "--workdir" in flags and name.strip("-").replace("-", "_") in _WORKDIR:
            return "--workdir"
        meant = meant_key(name, config_module.every_key() if self._with_config else (), flags)
        return f"--config.{meant}" if meant and meant not in flags else meant

    def _flag_of_place(self, word: str, flags: Sequence[str]) -> str | None:
        """The flag that a bare word lacks, by what lies there: a run, a folder of images, a config."""
        if "--workdir" in flags and os.path.isfile(os.path.join(word, "config.json")):
            return f"--workdir={word}"
        if os.path.isdir(word) and ("--dir" in flags or self._with_config):
            return f"--dir={word}" if "--dir" in flags else f"--config.data.dir={word}"
        return f"--config={word}" if self._with_config and is_config(word) else None

    def format_help(self) -> str:
        if self._with_config:
            file = self._file_of_help
            config = config_module.default_config() if file is None else config_module.load_config(file)
            self.epilog = describe_usual(config_module.flatten(config), file or "the default config")
        return programs.as_started(super().format_help())

    @property
    def overrides(self) -> Pairs:
        """The (key, value) pairs of the command line."""
        return list(self._overrides)

    def load_config(self, base: str | ml_collections.ConfigDict) -> ml_collections.ConfigDict:
        """The config of a file, or a given one, with the command line's overrides, validated."""
        config = config_module.load_config(base) if isinstance(base, str) else base
        return config_module.override(config, self._overrides)

    def error(self, message: str) -> NoReturn:
        if self._with_run and message.endswith("required: --workdir"):
            # A word behind a flag without "=" may be that flag's.
            bare = [word for before, word in itertools.pairwise(["", *self._words]) if before[:1] != "-" != word[:1]]
            message += _did_you_mean(self._flag_of_place(word, ["--workdir"]) for word in bare)
        self.exit(2, f"{self.prog}: {one_line(message)}; --help lists the flags\n")


def _did_you_mean(flags: Iterable[str | None]) -> str:
    meant = dict.fromkeys(filter(None, flags))
    return f" (did you mean {' and '.join(map(repr, meant))}?)" if meant else ""


class _Help(argparse.Action):
    """-h and --help, with a topic of the config."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> NoReturn:
        print(programs.as_started(describe(values)) if values else parser.format_help().rstrip("\n"))
        parser.exit()


def register_names(path: str | None) -> None:
    """Runs a config file for the names that it registers; nothing without one."""
    if path is not None:
        config_module.load_config(path)


def default_workdir(config_path: str) -> str:
    """runs/CONFIG_NAME; of a trial that wandb's agent started runs/sweeps/SWEEP_ID/RUN_ID.

    So trials share no run directory, and a run that is queued again resumes its own.
    """
    sweep, run = os.environ.get("WANDB_SWEEP_ID"), os.environ.get("WANDB_RUN_ID")
    if not sweep or not run:
        return f"runs/{Path(config_path).stem}"
    for name, value in (("WANDB_SWEEP_ID", sweep), ("WANDB_RUN_ID", run)):
        if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*", value):
            raise InputError(f"{name}={value}: this is no name for a directory; say where to write with --workdir=DIR")
    return f"runs/sweeps/{sweep}/{run}"


def run(main: Callable[[Sequence[str]], int | None], argv: Sequence[str] | None = None) -> NoReturn:
    """`run_with_shutdown` for a `main` that has nothing to finish when a signal comes."""
    run_with_shutdown(lambda words, shutdown: main(words), argv)


def run_with_shutdown(
    main: Callable[[Sequence[str], Shutdown], int | None], argv: Sequence[str] | None = None
) -> NoReturn:
    """Runs a program's `main` and exits.

    `main` passes the `Shutdown` to everything that has to finish before the process may end.

    The status is 0, 2 for bad input, 3 for a loss that is not finite, 4 for what could not be saved, 75 for a host
    that is missing, and 128 + the number of a signal.

    Args:
      argv: what `main` gets; None: all words behind the name of the script.
    """
    keep_memory()
    again = programs.again()
    shutdown = Shutdown()
    end_on_signals(again, shutdown)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names of classes and files may not be printable here
            stream.reconfigure(errors="backslashreplace")
    try:
        status = main(sys.argv[1:] if argv is None else argv, shutdown) or 0
    except (InputError, NonFiniteError, SaveError, HostsError) as error:
        print(f"{programs.own_name()}: {one_line(str(error))}", file=sys.stderr)
        if isinstance(error, SaveError):  # threads of Orbax may wait for ever for what cannot be written
            shutdown.stuck.set()
        status = error.exit_status
    except (Interrupted, Stopped) as error:
        print(f"\n{error}. To go on: {again}", file=sys.stderr)
        status = error.exit_status
    except KeyboardInterrupt:  # from a library that has handlers of its own
        print("\ninterrupted", file=sys.stderr)
        status = 130
    except BrokenPipeError:
        sys.stderr.close()
        status = 141
    leave(status, shutdown)
