"""The arithmetic of the table in docs/scaling.md, by hand; and that the table is what the arithmetic gives."""

from typing import Any

import pytest

from benchmarks.envelope import MACHINES, Assumptions, Estimate, Machine, count, estimate, measure_envelope
from benchmarks.timing import Settings
from cnn_jax.config.tree import load_config
from tests.support.helpers import ROOT, tiny_config

RECIPE = "configs/imagenet_resnet50.py"


def test_resnet50_by_hand() -> None:
    """4.089 billion multiply-adds (He et al. 2016, table 1: 3.8 with other strides) and 25,557,032 parameters."""
    machine = Machine("it", devices=4, peak=100e12, memory=0)
    config = load_config(RECIPE)
    counts = count(config, 1000)
    found = estimate(config, counts, machine, Assumptions(share_of_peak=0.5, image_bytes=1e5, decoding_ms=2))
    assert counts.operations == pytest.approx(6 * 4.089e9, rel=1e-3)
    images = 4 * 100e12 * 0.5 / (6 * 4.089184256e9)
    assert found.images == pytest.approx(images)
    assert found.hours == pytest.approx(90 * 1_281_167 / images / 3600)
    assert found.read == pytest.approx(images * 1e5)
    assert found.decoding_cores == pytest.approx(images * 0.002)
    statistics = 2 * 26_560  # a mean and a variance of each channel that is normalised
    assert found.checkpoint == pytest.approx(4 * (3 * 25_557_032 + 2 * statistics), rel=1e-4)  # and momentum, averages
    outputs = found.memory - found.checkpoint - 4 * 25_557_032
    assert 15e6 < outputs / 256 / 2 < 35e6  # of an image: some 11 million after convolutions, again after normalisation


def test_what_changes_what() -> None:
    def found(devices: int = 1, **changes: Any) -> Estimate:
        config = tiny_config(data__image_size=8, **changes)
        return estimate(config, count(config, 10), Machine("it", devices, 1e12, 0), Assumptions())

    assert found(precision="bfloat16").memory < found().memory
    assert found(accumulate_steps=4).memory < found().memory
    assert found(devices=2).memory < found().memory
    assert found(ema_decay=0.9).checkpoint > found().checkpoint
    assert found(devices=2).images == 2 * found().images


def test_the_document_has_the_figures_of_the_arithmetic() -> None:
    (table,) = measure_envelope(Settings([RECIPE, "configs/digits.py"], 1, None))
    text = (ROOT / "docs/scaling.md").read_text()
    assert len(table["rows"]) == len(MACHINES)
    for row in table["rows"]:
        assert "| " + " | ".join(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row) + " |" in text
