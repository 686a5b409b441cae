"""What JAX runs on: devices, memory, compiled programs and where they are kept."""
