"""`cnn_jax find-batch-size`, from a checkout."""

from cnn_jax.cli.command_line import run
from cnn_jax.commands.find_batch_size import main

if __name__ == "__main__":
    run(main)
