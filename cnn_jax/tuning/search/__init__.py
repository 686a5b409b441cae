"""Samplers and pruners: grid, random, a Gaussian process; hyperband and the median rule."""
