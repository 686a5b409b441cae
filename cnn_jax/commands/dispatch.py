"""The command `cnn_jax`: finds the program that its first word names. JAX and the like are imported by that program."""

import importlib
import sys
from typing import Any, NoReturn

from cnn_jax.cli.programs import COMMAND, PROGRAMS, find


def main(version: str) -> NoReturn:
    """Runs `cnn_jax NAME ...` and exits."""
    word = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if word in ("-h", "--help", "help"):
        print(describe_programs())
        sys.exit(0)
    if word == "--version":
        print(f"{COMMAND} {version}")
        sys.exit(0)
    name = find(word)
    if name is None:
        sys.exit(_unknown(word))
    from cnn_jax.cli import command_line

    program = PROGRAMS[name]
    command: Any = importlib.import_module(program.module)
    if program.saves:
        command_line.run_with_shutdown(command.main, sys.argv[2:])
    command_line.run(command.main, sys.argv[2:])


def describe_programs() -> str:
    """A line for each program."""
    width = max(map(len, PROGRAMS))
    return "\n".join([
        f"usage: {COMMAND} COMMAND ...",
        "",
        "Train, tune, explain and ship convolutional image classifiers in JAX.",
        "",
        *(f"  {name:<{width}}  {program.about}" for name, program in PROGRAMS.items()),
        "",
        f"`{COMMAND} COMMAND --help` lists the flags of one, and `{COMMAND} --version` says which version this is.",
    ])  # fmt: skip


def _unknown(word: str) -> int:
    """Says so; the exit status."""
    from cnn_jax.config.rules import did_you_mean
    from cnn_jax.errors import shown

    hint = did_you_mean(word, list(PROGRAMS))
    print(f"{COMMAND}: there is no command '{shown(word)}'{hint}; --help lists them all", file=sys.stderr)
    return 2
