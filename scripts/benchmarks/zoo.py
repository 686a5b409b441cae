"""The published networks: what each holds, what its weights reach by their publisher, what it costs beside PyTorch."""

import functools
import json
import time
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.contestants import check_same, own_words, started, torch_words
from benchmarks.machine import describe_machine, watch_others
from benchmarks.timing import Settings
from cnn_jax.cli.progress import announce
from cnn_jax.config.model_keys import MODELS
from cnn_jax.config.tree import default_config
from cnn_jax.models import Table, make_model, make_table
from cnn_jax.models.pretrained.catalog import WEIGHTS, PublishedWeights

_OF_ONES_OWN = ("linear", "mlp", "cnn")  # whose sizes a config says
NETWORKS = tuple(name for name in MODELS if name not in _OF_ONES_OWN)

_CIFAR = ("resnet20", "resnet32", "resnet44", "resnet56", "resnet110", "speednet")
_SMALL = {"lenet5": (28, 28, 1)} | dict.fromkeys(_CIFAR, (32, 32, 3))  # of ten classes
_SIZES = {"alexnet_2012": 227}  # of images of ImageNet, where neither 224 nor what the weights say

# What PyTorch's process calls the same network, where torchvision does not have it under the name here.
_TIMM = {
    **{f"efficientnet_lite{size}": f"timm:tf_efficientnet_lite{size}" for size in range(3)},
    **{f"convnext_{size}": f"timm:convnext_{size}" for size in ("atto", "femto", "pico", "nano")},
    **{f"vit_{size}": f"timm:vit_{size}_patch16_224" for size in ("tiny", "small")},
    "coatnet_0": "timm:coatnet_0_224",
    "coatnet_0_rw": "timm:coatnet_0_rw_224",
}
PEERS: dict[str, str | None] = {
    **{name: f"torchvision:{name}" for name in NETWORKS},
    **dict.fromkeys((*_CIFAR, "alexnet_2012")),
    **_TIMM,
    "lenet5": "lenet5",
    "vit_base": "torchvision:vit_b_16",
}

# Those that are timed where `--networks` does not say which.
_MOST_MULTIPLY_ADDS = 1.3e9
_LARGE = ("resnet18", "resnet50", "vgg16", "vit_small", "convnext_tiny")
_CHANGES = {"resnet18": {"model.small_images": False}}  # of what `contestant` sets for other benchmarks
_CALLS, _WHO = ("predict", "train"), ("cnn_jax", "torch")
_SECONDS = 0.5  # of each turn
_BATCH, _BATCH_OF_SMALL = 8, 128


class Times(NamedTuple):
    """Milliseconds an image of each turn, by contestant ("cnn_jax", "torch"), and where they were taken."""

    predict: dict[str, list[float]]
    train: dict[str, list[float]]
    machine: str
    busy: float | None

    def least(self, call: str, who: str) -> float | None:
        """Of the turns: what else the machine does makes them longer only."""
        return min(getattr(self, call).get(who, ()), default=None)


def image_shape(name: str) -> tuple[int, int, int]:
    """[height, width, channels] of what a network was made for."""
    if name in _SMALL:
        return _SMALL[name]
    side = next((each.image_size for each in weights_of(name)), _SIZES.get(name, 224))
    return side, side, 3


def num_classes(name: str) -> int:
    return 10 if name in _SMALL else 1000


def weights_of(name: str) -> list[PublishedWeights]:
    return [weights for weights in WEIGHTS.values() if weights.network == name]


@functools.cache
def layers_of(name: str) -> Table:
    return make_table(make_model(default_config(name).model, num_classes(name)), image_shape(name))


def measure_zoo(settings: Settings) -> list[dict[str, Any]]:
    """One table; and with `settings.page` the tables of that page.

    The times are kept beside the page, so that a run that was cut goes on: what is there is not timed again, but for
    the networks that `settings.networks` names.
    """
    from benchmarks.zoo_page import make_page

    path = None if settings.page is None else Path(settings.page)
    store = None if path is None else path.with_suffix(".json")
    times = {} if store is None else read_times(store)
    if path is not None:
        make_page(path.read_text(), times)  # which refuses a page that is none before anything is timed
    for name in settings.networks or [name for name in _usual() if name not in times]:
        announce(f"{name}: {settings.rounds} rounds")
        times[name] = time_network(name, settings.rounds, settings.torch_python, settings.cpu_time)
        if store is not None:
            write_times(store, times)
    if path is not None:
        path.write_text(make_page(path.read_text(), times))
    rows = [_row(name, times.get(name)) for name in NETWORKS]
    columns = ["network", "parameters", "multiply-adds", *(f"{call} {who}" for call in _CALLS for who in _WHO), "busy"]
    return [{"title": "milliseconds an image, the least of all turns", "columns": columns, "rows": rows}]


def _row(name: str, times: Times | None) -> list[Any]:
    cells = [times.least(call, who) if times else None for call in _CALLS for who in _WHO]
    counts = layers_of(name).parameters, layers_of(name).multiply_adds
    return [name, *counts, *("-" if cell is None else cell for cell in (*cells, times and times.busy))]


def _usual() -> list[str]:
    few = {name for name in NETWORKS if layers_of(name).multiply_adds <= _MOST_MULTIPLY_ADDS}
    return [name for name in NETWORKS if name in few or name in _LARGE]


def time_network(name: str, rounds: int, torch_python: str | None, cpu_time: bool = False) -> Times:
    """By turns, with ten classes, PyTorch's channels last; "predict" is from uint8 images on the host to logits there.

    Where other work runs, what threads wait for each other is counted, and PyTorch's wait long. The time of processors
    (`cpu_time`) on one core has nothing of it.

    Raises:
      InputError: a contestant fails, or they are not the same network.
    """
    batch, shape = _BATCH_OF_SMALL if name in _SMALL else _BATCH, image_shape(name)
    calls = {call: f"{call}:{batch}" for call in _CALLS}
    words = {"cnn_jax": own_words(name, shape, list(calls.values()), _CHANGES.get(name))}
    peer = PEERS[name]
    if torch_python is not None and peer is not None:
        words["torch"] = torch_words(torch_python, peer, shape, list(calls.values()))
    turns: dict[str, dict[str, list[float]]] = {call: {who: [] for who in words} for call in _CALLS}
    others = watch_others()
    with started(words) as there:
        said = {one.name: one.wait() for one in there}
        check_same(name, said)
        for _ in range(rounds):
            for call, listed in calls.items():
                for one in there:
                    turns[call][one.name].append(float(f"{one.turn(listed, _SECONDS, cpu_time) / batch:.4g}"))
    versions = [f"jax {metadata.version('jax')}", *(f"PyTorch {about['version']}" for about in said.values()
                                                  if "version" in about)]  # fmt: skip
    clock = "processor time" if cpu_time else "time of the clock"
    machine = ", ".join([describe_machine(), clock, *versions, time.strftime("%Y-%m-%d")])
    return Times(turns["predict"], turns["train"], machine, others())


def read_times(path: Path) -> dict[str, Times]:
    return {name: Times(**each) for name, each in json.loads(path.read_text()).items()} if path.is_file() else {}


def write_times(path: Path, times: Mapping[str, Times]) -> None:
    lines = [f"{json.dumps(name)}: {json.dumps(times[name]._asdict())}" for name in NETWORKS if name in times]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")
