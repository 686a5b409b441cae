"""Run directories: checkpoints, the environment, and searching through many of them."""
