"""`cnn_jax evaluate`, from a checkout."""

from cnn_jax.cli.command_line import run
from cnn_jax.commands.evaluate import main

if __name__ == "__main__":
    run(main)
