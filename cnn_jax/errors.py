"""The ways in which a command may end badly, each with its exit status."""

import re

_LONGEST_LINE, _LINE_BEGINS, _LONGEST_REASON = 1000, 700, 160


class InputError(ValueError):
    """What the user gave cannot be used. The message is one line: what was wrong, and what would be right.

    Line breaks, control characters and sheer length of what it quotes are taken care of here.
    """

    exit_status = 2

    def __init__(self, message: str):
        super().__init__(one_line(message))


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


def one_line(text: str) -> str:
    """One printable line of at most 1,000 characters; of a longer one the middle is left out."""
    line = shown(" ".join(part.strip() for part in re.split(r"[\r\n]+", text) if part.strip()))
    if len(line) <= _LONGEST_LINE:
        return line
    return f"{line[:_LINE_BEGINS]} ... {line[len(line) - _LONGEST_LINE + _LINE_BEGINS + 5 :]}"


def reason_of(error: BaseException) -> str:
    """Why something failed, in a few words, whatever was raised; its type where it says nothing itself."""
    try:
        said = error.args[0] if len(error.args) == 1 else error
        if isinstance(error, KeyError) and " " not in str(said):
            said = f"there is no {said!r}"
        elif isinstance(error, OSError) and error.strerror:
            said = error.strerror
        words = " ".join(str(said).split())
    except Exception:  # it cannot even be shown
        words = ""
    words = words or type(error).__name__
    return words if len(words) <= _LONGEST_REASON else f"{words[: _LONGEST_REASON - 4]} ..."


def shown(text: str) -> str:
    """A path or a name as one printable line: newlines, control and undecodable characters are escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)
