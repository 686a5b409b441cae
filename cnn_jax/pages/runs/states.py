"""What a sweep says about its trials and their run directories do not: that one was pruned, or failed."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_STATES = {"pruned": "pruned", "fail": "failed", "failed": "failed"}


def with_states(records: Sequence[dict[str, Any]], folder: Path) -> list[dict[str, Any]]:
    """The records, where a `sweep.json` lists their trial with the status it has there."""
    said: dict[Path, str] = {}
    for sweep in {folder, *(record["path"].parent.parent for record in records)}:
        for trial in _trials(sweep / "sweep.json"):
            state = _STATES.get(str(trial.get("state", trial.get("status"))).lower())
            if state is not None and isinstance(trial.get("number"), int):
                said[sweep / "trials" / f"{trial['number']:04}"] = state
    return [
        record | {"status": said[record["path"]]}
        if record["status"] == "unfinished" and record["path"] in said
        else record
        for record in records
    ]


def _trials(path: Path) -> list[Mapping[str, Any]]:
    try:
        trials = json.loads(path.read_text())["trials"]
        return [trial for trial in trials if isinstance(trial, dict)]
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        return []
