"""`cnn_jax analyze`, from a checkout."""

from cnn_jax.cli.command_line import run
from cnn_jax.commands.analyze import main

if __name__ == "__main__":
    run(main)
