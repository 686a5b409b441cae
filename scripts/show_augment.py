"""`cnn_jax show-augment`, from a checkout."""

from cnn_jax.cli.command_line import run
from cnn_jax.commands.show_augment import main

if __name__ == "__main__":
    run(main)
