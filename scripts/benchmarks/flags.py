"""What the command line asks of benchmarks, checked before any of them begins."""

import argparse
from pathlib import Path

from benchmarks import BENCHMARKS
from benchmarks.contestants import SIZES
from benchmarks.timing import Settings
from benchmarks.zoo import NETWORKS as ZOO
from cnn_jax.config import load_config
from cnn_jax.errors import InputError


def read_settings(arguments: argparse.Namespace) -> Settings:
    """The settings that the flags describe; the folder for results is there from then on.

    Raises:
      InputError: a flag asks for what is not there.
    """
    for name in ("rounds", "seeds"):
        if getattr(arguments, name) < 1:
            raise InputError(f"--{name}={getattr(arguments, name)}: it must be at least 1")
    if arguments.only not in (None, *BENCHMARKS):
        raise InputError(f"--only={arguments.only}: there is no such benchmark; there are {', '.join(BENCHMARKS)}")
    networks = tuple(arguments.networks.split(",")) if arguments.networks else ()
    known = ZOO if arguments.only == "zoo" else SIZES
    if unknown := set(networks) - set(known):
        raise InputError(f"--networks={arguments.networks}: there is no {min(unknown)}; there are {', '.join(known)}")
    if arguments.page is not None and arguments.only != "zoo":
        raise InputError(f"--page={arguments.page}: only the zoo has a page; say --only=zoo")
    if arguments.cpu_time and arguments.only != "zoo":
        raise InputError("--cpu_time: only the zoo is timed so; say --only=zoo")
    if arguments.page is not None and not Path(arguments.page).is_file():
        raise InputError(f"--page={arguments.page}: there is no such file; docs/zoo.md is one")
    configs = arguments.configs.split(",") if arguments.configs else []
    for path in configs:
        load_config(path)
    try:
        Path(arguments.output).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(arguments.output, error) from error
    return Settings(
        configs, arguments.rounds, arguments.photos, arguments.torch_python, networks, arguments.seeds,
        arguments.output, arguments.page, arguments.cpu_time,
    )  # fmt: skip


def cannot_write(output: str, error: OSError) -> InputError:
    return InputError(f"--output={output}: it cannot be written ({error.strerror})")
