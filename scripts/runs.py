"""`cnn_jax runs`, from a checkout."""

from cnn_jax.cli.command_line import run
from cnn_jax.commands.runs import main

if __name__ == "__main__":
    run(main)
