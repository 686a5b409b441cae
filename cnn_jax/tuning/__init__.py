"""Finding good hyperparameters: learning rates, batch sizes, sweeps."""
