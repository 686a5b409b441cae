"""How batches reach the devices: order, streams, resident arrays."""
