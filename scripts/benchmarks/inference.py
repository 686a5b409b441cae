"""Evaluation and prediction of this package beside those of plain Flax and of PyTorch, by turns."""

from typing import Any

import numpy as np

from benchmarks.contestants import SIZES, check_same, contestants
from benchmarks.timing import Settings, spread
from cnn_jax.cli.progress import announce

_SECONDS = 0.3  # of each turn
_BATCHES = (1, 32, 256)
_MOST_VALUES = 32 * 224 * 224 * 3  # of a batch: larger ones take half a minute on a few cores
_LONG, _ENOUGH = 1000.0, 3  # calls of more milliseconds take no more than so many rounds


def measure_inference(settings: Settings) -> list[dict[str, Any]]:
    """One table: from uint8 images on the host to logits ("predict") or sums of loss and hits ("evaluate") there.

    Evaluation is measured with the largest batch only. With a batch of 1 the milliseconds are an image's latency.
    """
    rows = []
    for network in settings.networks or SIZES:
        shape = SIZES[network][1]
        batches = [batch for batch in _BATCHES if batch * int(np.prod(shape)) <= _MOST_VALUES]
        calls = {f"predict:{batch}": batch for batch in batches} | {f"evaluate:{batches[-1]}": batches[-1]}
        with contestants(network, shape, list(calls), settings.torch_python) as there:
            said = {one.name: one.wait() for one in there}
            check_same(network, said)
            announce(f"{network}: {settings.rounds} rounds of {', '.join(said)}")
            times: dict[tuple[str, str], list[float]] = {(call, name): [] for call in calls for name in said}
            for number in range(settings.rounds):
                for call in calls:
                    if number >= _ENOUGH and max(times[call, name][0] for name in said) > _LONG:
                        continue
                    for one in there:
                        times[call, one.name].append(one.turn(call, _SECONDS))
        for (call, name), values in times.items():
            cells = spread(values)
            ratio = float(np.median(np.array(values) / times[call, "cnn_jax"]))  # of turns side by side
            what = call.partition(":")[0]
            rows.append([network, what, calls[call], name, *cells, calls[call] / cells[0] * 1e3, ratio])
    columns = ["network", "", "batch", "", "ms a batch", "half of them", "images/s", "x cnn_jax's time"]
    return [{"title": "evaluation and prediction", "columns": columns, "rows": rows}]
