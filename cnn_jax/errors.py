"""The ways in which a command may end badly, each with its exit status."""


class InputError(ValueError):
    """What the user gave cannot be used. The message is one line: what was wrong, and what would be right."""

    exit_status = 2


class DamagedError(InputError):
    """A checkpoint cannot be read, or does not hold what was saved in it."""


class NonFiniteError(RuntimeError):
    """The loss or a gradient became NaN or infinite; the last good checkpoint is kept."""

    exit_status = 3


class HostsError(RuntimeError):
    """Another host did not come, or is gone. The status is EX_TEMPFAIL of sysexits.h: to try again may help."""

    exit_status = 75


class SaveError(RuntimeError):
    """What a run made cannot be saved; the last whole checkpoint is kept. The message is one line."""

    exit_status = 4


class Interrupted(Exception):
    """A signal asked a run to stop; everything up to here is saved. The message says how to go on."""

    def __init__(self, message: str, signal_number: int):
        super().__init__(message)
        self.exit_status = 128 + signal_number


def shown(text: str) -> str:
    """A path or a name as one printable line: newlines, control and undecodable characters are escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)
