"""The tables of docs/zoo.md."""

import itertools
from collections.abc import Iterable, Mapping, Sequence

from benchmarks.zoo import NETWORKS, Times, image_shape, layers_of, weights_of
from cnn_jax.errors import InputError
from cnn_jax.models.pretrained.catalog import PublishedWeights
from cnn_jax.models.pretrained.layouts import LAYOUTS

# Accuracies in percent of ImageNet, or of CIFAR-10, without weights that can be had by name.
_CIFAR = "CIFAR-10; He et al. 2016, from memory"
OTHER_ACCURACIES = {
    "alexnet_2012": (59.3, "Krizhevsky et al. 2012, from memory"),
    "convnext_femto": (77.498, "timm"),
    "convnext_pico": (79.516, "timm"),
    "convnext_nano": (80.762, "timm"),
    "coatnet_0": (81.6, "Dai et al. 2021, from memory"),
    "resnet20": (91.25, _CIFAR),
    "resnet32": (92.49, _CIFAR),
    "resnet44": (92.83, _CIFAR),
    "resnet56": (93.03, _CIFAR),
    "resnet110": (93.57, _CIFAR),
}
_LEDGER = (
    "network", "image", "parameters", "multiply-adds", "inference, ms", "PyTorch", "training, ms", "PyTorch",
    "weights by name, top-1 %", "reads files of",
)  # fmt: skip
_CHOICES = ("weights", "network", "image", "top-1 %", "inference, ms", "training, ms", "parameters", "from")


def make_page(page: str, times: Mapping[str, Times]) -> str:
    """The page with its tables made anew; all else stays.

    A table stands between the lines `<!-- NAME -->` and `<!-- end of NAME -->`.

    Raises:
      InputError: a table has no such place.
    """
    tables = {
        "choices": choices(times),
        "ledger": markdown(_LEDGER, [ledger_row(name, times.get(name)) for name in NETWORKS]),
        "machine": machines(times),
    }
    for name, text in tables.items():
        begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        before, begun, rest = page.partition(f"{begin}\n")
        _, ended, after = rest.partition(end)
        if not begun or not ended:
            raise InputError(f"--page: no place for the {name}; it needs the lines {begin} and {end}")
        page = f"{before}{begin}\n{text}\n{end}{after}"
    return page


def choices(times: Mapping[str, Times]) -> str:
    """Weights than which none that were timed are quicker in inference and at least as accurate, the quickest first."""
    known = [(weights, times[name]) for name in NETWORKS if name in times for weights in weights_of(name)]
    chosen: list[Sequence[str]] = []
    best = 0.0
    for weights, measured in sorted(known, key=lambda one: (one[1].least("predict", "cnn_jax"), -(one[0].top1 or 0))):
        if weights.top1 is None or weights.top1 <= best:
            continue
        best = weights.top1
        speeds = [_milliseconds(measured.least(call, "cnn_jax")) for call in ("predict", "train")]
        count = f"{layers_of(weights.network).parameters / 1e6:.1f} M"
        names, image = (f"`{weights.name}`", f"`{weights.network}`"), f"{weights.image_size}, {weights.interpolation}"
        chosen.append([*names, image, f"{best:.1f}", *speeds, count, _publisher(weights)])
    return markdown(_CHOICES, chosen)


def ledger_row(name: str, times: Times | None) -> list[str]:
    table = layers_of(name)
    height, width, channels = image_shape(name)
    accuracies = [
        ", ".join(f"`{each.name}` {each.top1 or '-'}" for each in group) + f" ({publisher})"
        for publisher, group in itertools.groupby(weights_of(name), _publisher)
    ]
    if name in OTHER_ACCURACIES:
        accuracy, source = OTHER_ACCURACIES[name]
        accuracies.append(f"{accuracy:g} ({source})")
    cells = [f"`{name}`", f"{height}x{width}x{channels}", f"{table.parameters:,}", f"{table.multiply_adds:,}"]
    for call in ("predict", "train"):
        ours, theirs = (times.least(call, who) if times else None for who in ("cnn_jax", "torch"))
        ratio = f" ({theirs / ours:.1f}x)" if ours and theirs else ""
        cells += [_milliseconds(ours), _milliseconds(theirs) + ratio]
    return [*cells, ", ".join(accuracies) or "-", ", ".join(LAYOUTS.get(name, ())) or "-"]


def machines(times: Mapping[str, Times]) -> str:
    """A line for each machine, with its networks where there are several, and what others took of it."""
    lines = []
    for machine in dict.fromkeys(each.machine for each in times.values()):
        names = [name for name in NETWORKS if name in times and times[name].machine == machine]
        shares = [share for name in names if (share := times[name].busy) is not None]
        which = "" if len(names) == len(times) else ": " + ", ".join(f"`{name}`" for name in names)
        lines.append(f"- {machine}; {_busy(shares)}{which}")
    return "\n".join(lines) or "- nothing was timed"


def _busy(shares: Sequence[float]) -> str:
    if not shares:
        return "what else it did is not known"
    low, high = f"{min(shares):.0%}", f"{max(shares):.0%}"
    state = "quiet" if max(shares) < 0.05 else "busy"
    return f"{state}: other work took {low if low == high else f'{low} to {high}'} of its cores meanwhile"


def markdown(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = (columns, ["---"] * len(columns), *rows)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _publisher(weights: PublishedWeights) -> str:
    """Whose they are, and whether a package has the file."""
    whose = "Google" if weights.layout == "lukemelas" else weights.layout
    return f"{whose}, package" if weights.package else whose


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}" if value < 1000 else f"{value:.0f}"
