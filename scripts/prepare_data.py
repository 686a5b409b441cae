"""`cnn_jax prepare`, from a checkout."""

from cnn_jax.cli.command_line import run
from cnn_jax.commands.prepare_data import main

if __name__ == "__main__":
    run(main)
