"""The numbers of the random streams, for those who draw with JAX and those who draw without."""

# The numbers are part of every run's identity: append, never renumber.
STREAMS = {"init": 0, "shuffle": 1, "augment": 2, "dropout": 3}
