"""One config over several seeds, or over the folds of a cross-validation."""
