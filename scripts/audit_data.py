"""`cnn_jax audit`, from a checkout."""

from cnn_jax.cli.command_line import run
from cnn_jax.commands.audit_data import main

if __name__ == "__main__":
    run(main)
