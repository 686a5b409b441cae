"""`cnn_jax find-lr`, from a checkout."""

from cnn_jax.cli.command_line import run
from cnn_jax.commands.find_lr import main

if __name__ == "__main__":
    run(main)
