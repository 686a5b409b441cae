"""What a stranger might hand over: code in the place of data."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from tests.support.helpers import read_json

EVIL = "__import__('os').system('touch {ran}')"


class Payload:
    """Its pickle creates a file when it is loaded."""

    def __init__(self, ran: Path):
        self.ran = ran

    def __reduce__(self) -> Any:
        return Path.touch, (self.ran,)


def objects(ran: Path, *shape: int) -> np.ndarray:
    array = np.empty(shape, object)
    array.fill(Payload(ran))
    return array


def rewrite_config(workdir: Path, *keys: str, value: Any) -> None:
    """Puts a value in the place of another into the config of a run directory."""
    config = read_json(workdir / "config.json")
    block = config
    for key in keys[:-1]:
        block = block[key]
    block[keys[-1]] = value
    (workdir / "config.json").write_text(json.dumps(config))
