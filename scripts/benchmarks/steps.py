"""Training steps of this package beside those of plain Flax and of PyTorch, each in its own process, by turns."""

from typing import Any

import numpy as np

from benchmarks.contestants import SIZES, check_same, contestants
from benchmarks.timing import Settings, spread
from cnn_jax.cli.progress import announce

_SECONDS = 2.0  # of each turn


def measure_steps(settings: Settings) -> list[dict[str, Any]]:
    """One table: milliseconds of a training step and their spread, how many times this package's, and memory.

    "peak MB": of the whole process, compiler and libraries included, and of the host only; "program MB": what the
    compiler says that the training program takes, parameters and data included.
    """
    rows = []
    for network in settings.networks or SIZES:
        batch, shape = SIZES[network]
        call = f"train:{batch}"
        with contestants(network, shape, [call], settings.torch_python) as there:
            said = {one.name: one.wait() for one in there}
            check_same(network, said)
            announce(f"{network}: {settings.rounds} rounds of {', '.join(said)}")
            times: dict[str, list[float]] = {name: [] for name in said}
            for _ in range(settings.rounds):
                for one in there:
                    times[one.name].append(one.turn(call, _SECONDS))
            memory = {one.name: one.memory() for one in there}
        for name, values in times.items():
            cells = spread(values)
            ratio = float(np.median(np.array(values) / times["cnn_jax"]))  # of turns side by side
            megabytes = ["" if size is None else round(size / 1e6) for size in memory[name].values()]
            rows.append([network, name, *cells, batch / cells[0] * 1e3, ratio, *megabytes])
    columns = ["network", "", "ms a step", "half of them", "images/s", "x cnn_jax's time", "peak MB", "program MB"]
    return [{"title": "training steps (SGD with momentum)", "columns": columns, "rows": rows}]
