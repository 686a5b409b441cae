"""plots/curves.png: texts that do not touch, a legend that covers nothing, and runs of no epoch or one."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnn_jax.pictures import reports

AUGMENTATION = "augmentation (random_resized_crop, flip, color_jitter, cutout), dropout, label smoothing"


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    drawn: list[Any] = []
    monkeypatch.setattr(reports, "save_figure", lambda figure, path: drawn.append(figure))
    return drawn


def log(epochs: int) -> list[dict[str, Any]]:
    """Of a run whose averaged weights do as well as the others, which was measured before its first epoch, too."""
    held_out = {"loss": 0.1, "accuracy": 0.98}
    rows: list[dict[str, Any]] = [{"epoch": 0, "split": "validation", **held_out}]
    for epoch in range(1, epochs + 1):
        trained = {"loss": 0.0004, "accuracy": 0.9, "learning_rate": 1.25e-4 * epoch}
        rows.append({"epoch": epoch, "split": "train", **trained})
        rows += [{"epoch": epoch, "split": split, **held_out} for split in ("validation", "validation_ema")]
    return [*rows, {"epoch": epochs, "split": "test", **held_out}]


def test_texts_do_not_touch(figures: list[Any], tmp_path: Path) -> None:
    """Titles of panels, the ticks of one and its neighbour, the legend; whatever training did."""
    reports.plot_curves(log(5), f"{'a long title ' * 12}\nof two lines", AUGMENTATION, tmp_path / "a.png")
    figure = figures[0]
    figure.canvas.draw()
    panels = [axis.get_tightbbox() for axis in figure.axes]
    (legend,) = figure.legends
    boxes = [*panels, legend.get_window_extent(), figure._suptitle.get_window_extent()]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 and box.y0 >= 0 and box.y1 <= figure.bbox.y1 for box in boxes)
    assert [text.get_text() for text in legend.get_texts()] == [
        "train", "validation", "validation, averaged weights", "test"
    ]  # fmt: skip
    assert f"train: with {AUGMENTATION}" in " ".join(figure.get_suptitle().split())
    assert figure.axes[0].get_title() == "loss, test 0.1000"


@pytest.mark.parametrize(("epochs", "panels"), [(0, 2), (1, 3)])
def test_few_epochs(epochs: int, panels: int, figures: list[Any], tmp_path: Path) -> None:
    """Whole epochs alone; without training there is no learning rate to draw."""
    reports.plot_curves(log(epochs), "a title", "", tmp_path / "a.png")
    assert len(figures[0].axes) == panels
    for axis in figures[0].axes:
        low, high = axis.get_xlim()
        ticks = [tick for tick in axis.get_xticks() if low <= tick <= high]
        assert ticks == [round(tick) for tick in ticks]
        assert set(ticks) <= set(np.arange(epochs + 1))


def test_equal_curves_are_both_seen(figures: list[Any], tmp_path: Path) -> None:
    """The curve that is drawn above another has gaps."""
    reports.plot_curves(log(3), "a title", "", tmp_path / "a.png")
    styles = {line.get_label(): line.get_linestyle() for line in figures[0].axes[1].lines}
    assert styles == {"train": "-", "validation": "-", "validation, averaged weights": "--", "test": ":"}
