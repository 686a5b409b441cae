"""What wandb's agent runs for a trial: the `command` of a sweep file with its macros expanded.

Documented in wandb's guide to sweeps; where the guide is silent this is what wandb's own agent does: a macro is
expanded where it is the whole entry, environment variables anywhere, and nested parameters are one dictionary.
"""

import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cnn_jax.cli.programs import COMMAND, checkout, module_words
from cnn_jax.config.rules import did_you_mean
from cnn_jax.errors import InputError
from cnn_jax.tuning.sweeps.types import Sweep

DEFAULT_COMMAND = ("${env}", "${interpreter}", "${program}", "${args}")
COMMAND_BLOCK = f"program: {COMMAND}` and `command: [${{env}}, ${{program}}, train, ${{args}}]"
ARGUMENT_MACROS = (
    "args", "args_no_equals", "args_no_hyphens", "args_no_boolean_flags", "args_json", "args_json_file",
)  # fmt: skip
MACROS = ("env", "interpreter", "program", *ARGUMENT_MACROS)
_VARIABLE = re.compile(r"\$\{envvar:([A-Z0-9_]*)\}")
_ANY_MACRO = re.compile(r"\$\{([^}]*)\}")
_SCRIPT = "scripts/train.py"


def flags(sweep: Sweep, values: Mapping[str, Any]) -> list[str]:
    """{parameter name: value} as flags: --config.a.b=0.1, and --config.optimizer={'learning_rate': 0.1} of blocks."""
    return [f"--{name}={value}" for name, value in nested(sweep, values).items()]


def command(
    sweep: Sweep, values: Mapping[str, Any], interpreter: str, json_file: str | Path | None = None
) -> list[str]:
    """The command of one trial, as a list for `subprocess`.

    Args:
      interpreter: what ${interpreter} stands for; wandb's agent takes `python`.
      json_file: where ${args_json_file} is written; without it a command with this macro raises InputError.
    """
    expansions = {
        "env": ["/usr/bin/env"] if os.name == "posix" else [],
        "interpreter": [interpreter],
        "program": _words_of(sweep.program, interpreter),
        **argument_forms(nested(sweep, values)),
        "args_json_file": [] if json_file is None else [str(json_file)],
    }
    if "${args_json_file}" in sweep.command:
        if json_file is None:
            raise InputError(f"{sweep.source}: ${{args_json_file}} is wandb's agent's own; here write ${{args_json}}")
        Path(json_file).write_text(expansions["args_json"][0])
    expanded: list[str] = []
    for entry in map(environment, sweep.command):
        whole = entry.startswith("${") and entry.endswith("}")
        expanded += expansions.get(entry[2:-1], []) if whole else [entry]
    return expanded


def nested(sweep: Sweep, values: Mapping[str, Any]) -> dict[str, Any]:
    """{parameter name: value} as the server sends it to an agent: nested parameters as dictionaries of dictionaries."""
    tree: dict[str, Any] = {}
    for parameter in sweep.parameters:
        block = tree
        for name in parameter.path[:-1]:
            block = block.setdefault(name, {})
        block[parameter.path[-1]] = values[parameter.name]
    return tree


def argument_forms(arguments: Mapping[str, Any]) -> dict[str, list[str]]:
    """The words that each macro for arguments stands for."""
    pairs = [f"{name}={value}" for name, value in arguments.items()]
    return {
        "args": [f"--{pair}" for pair in pairs],
        "args_no_equals": [word for name, value in arguments.items() for word in (f"--{name}", str(value))],
        "args_no_hyphens": pairs,
        "args_no_boolean_flags": [
            f"--{name}" if value is True else f"--{name}={value}"
            for name, value in arguments.items() if value is not False
        ],
        "args_json": [json.dumps(arguments)],
    }  # fmt: skip


def environment(entry: str) -> str:
    """The entry with every ${envvar:NAME} replaced; of a variable that is not set the name is left, as wandb does."""
    return _VARIABLE.sub(lambda match: os.environ.get(match[1], match[1]), entry)


def find_program(program: str) -> Path | None:
    """The file, from the working directory or else of the checkout; None where it does not exist."""
    candidates = [folder / program for folder in (Path(), checkout()) if folder is not None]
    return next((candidate for candidate in candidates if os.path.isfile(candidate)), None)


def is_own_command(program: str) -> bool:
    """Whether it is the command `cnn_jax`, of which `train` is a word to come."""
    return program == COMMAND and find_program(program) is None


def is_own_program(program: str) -> bool:
    """Whether it is this package's training, whose flags are known: `cnn_jax`, or scripts/train.py.

    The script stands for the command where there is no checkout that has it.
    """
    found, root = find_program(program), checkout()
    if found is None:
        return program in (COMMAND, _SCRIPT)
    return root is not None and found.resolve() == (root / _SCRIPT).resolve()


def _words_of(program: str, interpreter: str) -> list[str]:
    """What ${program} stands for; the package's own one is found without a PATH that has it."""
    found = find_program(program)
    if found is not None:
        return [str(found)]
    train = module_words("train")
    return [interpreter, *train[:-1]] if program == COMMAND else train if program == _SCRIPT else [program]


def check_command(source: Path, words: Iterable[str]) -> None:
    """Raises InputError for macros that wandb's agent would drop or pass on as they stand."""
    for word in words:
        for name in _ANY_MACRO.findall(word):
            if name.startswith("envvar:"):
                if not _VARIABLE.search(word):
                    raise InputError(f"{source}: command: ${{{name}}}: names of variables are capitals, digits and _")
            elif name not in MACROS:
                known = ", ".join(f"${{{macro}}}" for macro in (*MACROS, "envvar:NAME"))
                raise InputError(f"{source}: command: no macro ${{{name}}}{did_you_mean(name, MACROS)}; {known}")
            elif word != f"${{{name}}}":
                raise InputError(f"{source}: command: {word}: a macro is expanded only where it is the whole entry")
