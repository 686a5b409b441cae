"""How a training step of `cnn` grows with its batch, its width and its depth."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.contestants import Contestant, own_words
from benchmarks.timing import Settings, spread
from cnn_jax.cli.progress import announce

_SHAPE, _SECONDS = (28, 28, 1), 0.5
_BATCH = 64
_BASE: dict[str, Any] = {"model.filters": (16, 32), "model.convs_per_block": 1, "model.hidden": ()}
# What doubles: (what stands in the table, batch, changed keys).
_AXES: dict[str, list[tuple[str, int, dict[str, Any]]]] = {
    "batch": [(str(batch), batch, {}) for batch in (32, 64, 128, 256)],
    "width": [(f"{n}-{2 * n}", _BATCH, {"model.filters": (n, 2 * n)}) for n in (8, 16, 32, 64)],
    "depth": [(f"2x{n}", _BATCH, {"model.convs_per_block": n}) for n in (1, 2, 4, 8)],
}
_COLUMNS = [
    "", "", "Mmultiply-adds a step", "ms a step", "half of them", "images/s", "x the first's a multiply-add",
    "compile s", "peak MB", "program MB",
]  # fmt: skip


def measure_growth(settings: Settings) -> list[dict[str, Any]]:
    """One table, and growth.png in the folder for results; one of batch, width and depth doubles at a time.

    Each network is compiled anew in a process of its own, one at a time; then they take turns. "compile s": tracing
    and compiling of the training step. Multiply-adds: of the forward pass.
    """
    rows, base = [], f"{_SHAPE[0]}x{_SHAPE[1]}, filters 16-32, 2x1 convolutions, batch {_BATCH}"
    for axis, points in _AXES.items():
        announce(f"growth with {axis}: {', '.join(name for name, *_ in points)}")
        rows += _measure_axis(axis, points, settings.rounds)
    table = {"title": f"growth of a training step of cnn ({base})", "columns": _COLUMNS, "rows": rows}
    plot_growth(rows, Path(settings.output) / "growth.png")
    return [table]


def _measure_axis(axis: str, points: list[tuple[str, int, dict[str, Any]]], rounds: int) -> list[list[Any]]:
    times: dict[str, list[float]] = {name: [] for name, *_ in points}
    calls = {name: f"train:{batch}" for name, batch, _ in points}
    with ExitStack() as stack:
        there, said = [], {}
        for name, _, changes in points:
            words = own_words("cnn", _SHAPE, [calls[name]], {**_BASE, **changes})
            there.append(Contestant(name, words, {"JAX_ENABLE_COMPILATION_CACHE": "0"}))
            stack.callback(there[-1].close)
            said[name] = there[-1].wait()
        for _ in range(rounds):
            for one in there:
                times[one.name].append(one.turn(calls[one.name], _SECONDS))
        memory = {one.name: one.memory() for one in there}
    rows: list[list[Any]] = []
    smallest = None
    for name, batch, _ in points:
        cells, work = spread(times[name]), said[name]["multiply_adds"] * batch
        smallest = smallest or cells[0] / work
        compiling = (said[name]["first_ms"][calls[name]] - cells[0]) / 1e3
        megabytes = (round((memory[name][what] or 0) / 1e6) for what in ("peak", "program"))
        speeds = (batch / cells[0] * 1e3, cells[0] / work / smallest)
        rows.append([axis, name, work / 1e6, *cells, *speeds, compiling, *megabytes])
    return rows


def plot_growth(rows: list[list[Any]], path: Path) -> Path:
    """A panel for each of batch, width and depth: milliseconds, beside what would grow as the multiply-adds do."""
    from matplotlib.ticker import LogLocator, NullFormatter

    from cnn_jax.pictures.reports import new_figure, save_figure

    axes = list(dict.fromkeys(row[0] for row in rows))
    figure, panels = new_figure(1, len(axes), (3.8 * len(axes), 3.6))
    for panel, axis in zip(panels, axes, strict=True):
        points = [row for row in rows if row[0] == axis]
        work, times = ([row[column] for row in points] for column in (2, 3))
        places = range(len(points))
        panel.plot(places, [times[0] * each / work[0] for each in work], "--", color="0.6", label="as multiply-adds")
        panel.plot(places, times, "o-", label="measured")
        panel.set(yscale="log", xlabel=axis, ylabel="ms a step")
        panel.set_xticks(places, [row[1] for row in points])
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.yaxis.set_major_formatter("{x:g}")
        panel.yaxis.set_minor_formatter(NullFormatter())
        panel.grid(alpha=0.3)
    panels[0].legend()
    return save_figure(figure, path)
