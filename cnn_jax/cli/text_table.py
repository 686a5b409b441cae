"""Tables as plain text."""

from collections.abc import Sequence

GAP = 2  # characters between columns


def column_widths(rows: Sequence[Sequence[str]]) -> list[int]:
    """The longest cell of each column; all rows have as many cells."""
    return [max(map(len, column)) for column in zip(*rows, strict=True)]


def format_table(rows: Sequence[Sequence[str]], right: Sequence[bool] = ()) -> list[str]:
    """One line a row.

    Args:
      rows: cells, those of the head among them.
      right: of each column, whether it is aligned to the right, as numbers are; () for none.
    """
    widths = column_widths(rows)
    sides = right or [False] * len(widths)
    lines = []
    for row in rows:
        cells = [
            text.rjust(width) if to_right else text.ljust(width)
            for text, width, to_right in zip(row, widths, sides, strict=True)
        ]
        lines.append((" " * GAP).join(cells).rstrip())
    return lines
