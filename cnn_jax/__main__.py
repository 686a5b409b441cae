"""`python -m cnn_jax` is the command `cnn_jax`."""

from typing import NoReturn

from cnn_jax import __version__
from cnn_jax.commands import dispatch


def main() -> NoReturn:
    dispatch.main(__version__)


if __name__ == "__main__":
    main()
