"""What to do if a device has too little memory."""

import contextlib
from collections.abc import Iterator

import jax
import ml_collections

from cnn_jax.config.model_keys import MODELS
from cnn_jax.errors import InputError


@contextlib.contextmanager
def explain_out_of_memory(config: ml_collections.ConfigDict) -> Iterator[None]:
    """Turns the error of a device without enough memory into an InputError of one line that names the ways out."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise InputError(_message(config, error)) from None


def _message(config: ml_collections.ConfigDict, error: Exception) -> str:
    """The ways out, the cheapest first."""
    ways = [f"a smaller config.batch_size (it is {config.batch_size})"]
    if config.precision in ("float32", "float64"):
        ways.append(f"config.precision=bfloat16 (it is {config.precision})")
    if config.batch_size % (2 * config.accumulate_steps * jax.device_count()) == 0:
        ways.append(f"config.accumulate_steps={2 * config.accumulate_steps} (it is {config.accumulate_steps})")
    if config.remat == "none" and MODELS[config.model.name].stages:
        ways.append("config.remat=stage (it is none)")
    if config.data.loading != "streamed":
        ways.append(f"config.data.loading=streamed (it is {config.data.loading})")
    reason = str(error).partition("RESOURCE_EXHAUSTED:")[2].strip().splitlines()
    return f"the device has not enough memory for this ({' '.join(reason[:1])[:120]}); ways out: {', '.join(ways)}"
