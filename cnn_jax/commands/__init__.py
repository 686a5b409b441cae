"""The programs, a module each: flags, one call of the rooms below, printing. `dispatch` is the command `cnn_jax`."""
