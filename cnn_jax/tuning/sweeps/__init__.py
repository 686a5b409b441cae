"""Sweeps in wandb's schema, run without a server."""
