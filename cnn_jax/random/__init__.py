"""Random numbers as functions of (seed, stream, step, example); no key is ever stored."""
