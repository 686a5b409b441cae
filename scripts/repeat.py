"""`cnn_jax repeat`, from a checkout."""

from cnn_jax.cli.command_line import run_with_shutdown
from cnn_jax.commands.repeat import main

if __name__ == "__main__":
    run_with_shutdown(main)
