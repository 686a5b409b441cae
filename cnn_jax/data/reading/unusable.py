"""What is said of pictures or rows that cannot be used, whatever the source."""

from collections.abc import Sequence

from cnn_jax.cli.progress import announce
from cnn_jax.errors import InputError

_NAMED_AT_MOST = 20


def report_unusable(lines: Sequence[str], what: str, on_error: str, where: str = "") -> None:
    """Names them, and what became of them; nothing where there are none.

    Args:
      lines: one for each fault.
      what: how many of how many, as in "3 of 70 images".
      on_error: `data.on_error`: "raise" names all, "skip" the first ones.
      where: begins the last line.

    Raises:
      InputError: with "raise".
    """
    if not lines:
        return
    if on_error == "raise":
        announce("\n".join(lines))
        raise InputError(
            f"{where}{what} cannot be used; they are listed above: mend or remove them, or train on the others with "
            f"--config.data.on_error=skip"
        )
    more = f"\n... and {len(lines) - _NAMED_AT_MOST} more" if len(lines) > _NAMED_AT_MOST else ""
    announce("\n".join(lines[:_NAMED_AT_MOST]) + more)
    announce(f"{where}left out {what} that cannot be used (data.on_error=skip)")
