"""State, step, compilation, evaluation and the loop, in this order; imports only JAX, Flax, Optax and Orbax."""
