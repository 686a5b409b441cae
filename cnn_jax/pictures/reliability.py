"""Whether a model is as often right as it says."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.pictures.reports import new_figure, save_figure, set_title


def plot_reliability(rows: Sequence[Mapping[str, Any]], title: str, path: str | Path) -> Path:
    """A reliability diagram (Niculescu-Mizil & Caruana 2005) above a histogram of confidence.

    Args:
      rows: of bins: "confidence" (its mean), "accuracy", "interval_95" and "images".
      title, path: of the picture.
    """
    from matplotlib.ticker import NullFormatter

    figure, axes = new_figure(2, 1, (5.2, 5.6))
    confidence, accuracy, count = (
        np.array([row[name] for row in rows], float) for name in ("confidence", "accuracy", "images")
    )
    ends = np.array([row["interval_95"] for row in rows]).T
    around = np.clip(np.stack([accuracy - ends[0], ends[1] - accuracy]), 0, None)
    axes[0].plot((0, 1), (0, 1), color="tab:gray", linestyle=":", label="as often right as it says")
    axes[0].errorbar(confidence, accuracy, around, fmt="o", color="tab:blue", capsize=3, label="measured")
    axes[0].set(xlim=(0, 1), ylim=(0, 1.02), ylabel="accuracy")
    axes[0].legend(loc="lower right", fontsize=8)
    axes[1].bar(confidence, count, width=0.08, color="tab:blue")
    axes[1].set(xlim=(0, 1), yscale="log", xlabel="confidence", ylabel="images")
    axes[1].yaxis.set_major_formatter("{x:g}")
    axes[1].yaxis.set_minor_formatter(NullFormatter())
    for axis in axes:
        axis.grid(alpha=0.3)
    set_title(figure, title)
    return save_figure(figure, path)
