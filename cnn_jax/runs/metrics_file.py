"""Reading `metrics.jsonl`, a run's log, whoever wrote it."""

import json
from pathlib import Path
from typing import Any

_MAX_DIGITS = 40


def read_rows(path: Path) -> list[dict[str, Any]]:
    """All whole lines of a `metrics.jsonl`; what follows a damaged one (a kill cuts the last one off) is left out."""
    rows = []
    for line in path.read_text(errors="replace").splitlines() if path.is_file() else ():
        try:
            row = parse_json(line)
        except (ValueError, RecursionError):
            break
        if not isinstance(row, dict) or not {"step", "epoch", "split"} <= row.keys():
            break
        rows.append(row)
    return rows


def parse_json(text: str) -> Any:
    """JSON of whoever wrote it: whole numbers that no computation could take become floats, if need be infinite.

    Raises:
      ValueError, RecursionError: it is none.
    """
    return json.loads(text, parse_int=lambda digits: int(digits) if len(digits) < _MAX_DIGITS else float(digits))
