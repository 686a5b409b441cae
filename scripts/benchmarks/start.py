"""What stands before the first training step: imports, tracing, compiling; and what a warm cache saves of it."""

import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.processes import run
from benchmarks.timing import ROOT, Settings, spread
from cnn_jax.cli.progress import announce

_TRAIN = str(ROOT / "scripts/train.py")
_IMPORTS = {
    "python itself": ["-c", "pass"],
    "import jax": ["-c", "import jax"],
    "import cnn_jax": ["-c", "import cnn_jax"],
    "import cnn_jax.experiment (all of training)": ["-c", "import cnn_jax.experiment"],
    "scripts/train.py --help": [_TRAIN, "--help"],
}
# What takes no data that must be fetched, nor long.
_SHORT = {
    "mnist_cnn": [
        "data.source=synthetic", "data.name=None", "data.image_size=(28,28)", "data.channels=1", "data.examples=1024",
    ],
}  # fmt: skip
_STAGES = {
    "tracing s": "jaxpr_trace_duration",
    "lowering s": "jaxpr_to_mlir_module_duration",
    "compiling or loading s": "backend_compile_duration",
}
_CHOSEN = ("JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS")


def measure_start(settings: Settings) -> list[dict[str, Any]]:
    """Tables: what imports take; whole trainings of one epoch with an empty and with a warm cache; their programs."""
    tables = [measure_imports(settings.rounds)]
    rows, programs = [], []
    for path in settings.chosen("digits.py", "mnist_cnn.py"):
        name = Path(path).stem
        announce(f"{name}: {settings.rounds} rounds of an empty and of a warm cache")
        rounds = [_train_twice(path) for _ in range(settings.rounds)]
        for i, cache in enumerate(("empty", "warm")):
            runs = [pair[i] for pair in rounds]
            stages = [spread([run["seconds"].get(stage, 0.0) for run in runs])[0] for stage in _STAGES.values()]
            count = sum(runs[0]["programs"].values())
            rows.append([name, cache, *spread([run["whole"] for run in runs]), *stages, count])
        programs += [[name, program, count] for program, count in rounds[0][0]["programs"].items()]
    columns = ["config", "cache", "s, whole process", "half of them", *_STAGES, "programs"]
    return [
        *tables,
        {"title": "one epoch of scripts/train.py", "columns": columns, "rows": rows},
        {"title": "programs, compiled or loaded", "columns": ["config", "program", "times"], "rows": programs},
    ]


def measure_imports(rounds: int) -> dict[str, Any]:
    """Milliseconds of whole processes that do hardly more than import, by turns."""
    times: dict[str, list[float]] = {name: [] for name in _IMPORTS}
    for _ in range(rounds):
        for name, words in _IMPORTS.items():
            times[name].append(run(name, [sys.executable, *words])[0] * 1e3)
    rows = [[name, *spread(values)] for name, values in times.items()]
    return {"title": "start-up", "columns": ["process", "ms", "half of them"], "rows": rows}


def _train_twice(path: str) -> list[dict[str, Any]]:
    """What `observed_train` tells of a training, and the seconds of the `whole` process: the second finds its programs.

    The cache is the one that every user has, in a new folder, not one that JAX's own variables name.
    """
    overrides = ["num_epochs=1", *_SHORT.get(Path(path).stem, [])]
    with tempfile.TemporaryDirectory() as folder:
        environment = dict.fromkeys(_CHOSEN) | {"XDG_CACHE_HOME": f"{folder}/cache"}
        return [_train(path, f"{folder}/{i}", overrides, environment) for i in range(2)]


def _train(path: str, workdir: str, overrides: list[str], environment: Mapping[str, str | None]) -> dict[str, Any]:
    flags = [f"--config={path}", f"--workdir={workdir}", *(f"--config.{change}" for change in overrides)]
    words = [sys.executable, str(Path(__file__).parent / "observed_train.py"), _TRAIN, f"{workdir}.json", *flags]
    seconds, _ = run("scripts/train.py", words, environment)
    return {"whole": seconds, **json.loads(Path(f"{workdir}.json").read_text())}
