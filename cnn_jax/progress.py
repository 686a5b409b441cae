"""What people see while something runs: lines and progress bars, on standard error."""

import sys
from typing import Any


def progress_bar(total: int, description: str, unit: str, initial: int = 0) -> Any:
    """A tqdm bar; where nobody watches (a log file) it writes a line every half minute instead of ten a second."""
    from tqdm import tqdm

    watched = sys.stderr.isatty()
    return tqdm(
        total=total, desc=description, unit=unit, initial=initial, file=sys.stderr, dynamic_ncols=watched,
        mininterval=0.1 if watched else 30.0, maxinterval=10.0 if watched else 60.0, leave=False,
    )  # fmt: skip


def announce(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
