"""Errors of what delivers the data of a run, which may be the user's own code and raise what it likes."""

import jax

from cnn_jax.errors import HostsError, InputError, Interrupted, NonFiniteError, SaveError

_OTHERS = (HostsError, Interrupted, NonFiniteError, SaveError, jax.errors.JaxRuntimeError)


def is_of_the_data(error: Exception) -> bool:
    """Whether it came from reading examples: the weights are good, and can be saved."""
    return not isinstance(error, _OTHERS)


def saved_error(error: Exception, where: str, step: int) -> Exception:
    """What to raise after everything up to `step` has been saved: of the user's own error the same one, with a note."""
    if isinstance(error, InputError):
        return InputError(f"{error}; everything up to step {step} is saved")
    error.add_note(f"This came {where}. Everything up to step {step} is saved: the same call resumes there.")
    return error
