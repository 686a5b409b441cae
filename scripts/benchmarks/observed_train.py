"""scripts/train.py with its compiler watched: a script of its own, so that nothing else is imported.

    python observed_train.py TRAIN.py RESULT.json [flags of train.py]

RESULT: how often each program was compiled or loaded, and the seconds of each of JAX's stages of compiling.
"""

import json
import runpy
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from cnn_jax.runtime.allocator import keep_memory

_STAGES = "/jax/core/compile/"


def main(script: str, result: str, *flags: str) -> None:
    keep_memory()  # as scripts do
    import jax

    from cnn_jax.cli.signals import Shutdown
    from cnn_jax.runtime.compilation import counted

    seconds: Counter[str] = Counter()

    def add(event: str, duration_secs: float, **about: Any) -> None:
        if event.startswith(_STAGES):
            seconds[event.removeprefix(_STAGES)] += duration_secs  # type: ignore[assignment]

    jax.monitoring.register_event_duration_secs_listener(add)
    with counted() as programs:
        runpy.run_path(script)["main"](flags, Shutdown())
    Path(result).write_text(json.dumps({"programs": programs, "seconds": seconds}))


if __name__ == "__main__":
    main(*sys.argv[1:])
