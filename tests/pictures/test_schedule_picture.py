"""scripts/show_schedule.py: what it says about a schedule, and what it marks."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cnn_jax.config.tree import default_config, override
from cnn_jax.errors import InputError
from cnn_jax.optimization.schedules import phases
from cnn_jax.pictures.schedule import count_steps_per_epoch, draw_schedule
from tests.support.helpers import script, tiny_config


def config(name: str, **changes: Any) -> Any:
    return override(default_config(schedule=name), [(f"schedule.{key}", value) for key, value in changes.items()])


def test_the_script_draws_and_says_what_it_drew(tmp_path: Path) -> None:
    path = tmp_path / "new" / "schedule.png"
    flags = ["--config.schedule.div_factor=10", "--config.schedule.cycle_momentum=True", "--steps_per_epoch=50"]
    result = script("show_schedule.py", *flags, f"--output={path}")
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [
        "rate: first 0.0004, peak 0.004 (epoch 8.98), last 4e-08",
        "momentum: first 0.95, lowest 0.85, last 0.95",
        f"written: {path}",
    ]
    with Image.open(path) as image:
        assert min(image.size) > 500

    result = script("show_schedule.py", "--steps_per_epoch=0")
    assert result.returncode == 2
    assert "--steps_per_epoch=0: must be at least 1" in result.stderr


def test_a_plateau_is_said_to_depend_on_the_metric(tmp_path: Path) -> None:
    lines = draw_schedule(config("ReduceLROnPlateau", factor=0.3, patience=4), 10, tmp_path / "a.png").splitlines()
    assert lines[:2] == [
        "rate: first 0.1, peak 0.1 (epoch 0), last 0.1",
        "this is the rate before any reduction: it becomes 0.3 of itself when validation_loss has not been better for "
        "more than 4 epochs",
    ]


def test_steps_are_counted_as_in_training() -> None:
    assert count_steps_per_epoch(tiny_config()) == 10
    with pytest.raises(InputError, match=r"config\.batch_size=100000: there are only \d+ training images"):
        count_steps_per_epoch(tiny_config(batch_size=100_000))


def test_what_cannot_be_drawn(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--output=.*a\.xyz: the picture cannot be written"):
        draw_schedule(config("StepLR"), 10, tmp_path / "a.xyz")
    for path in (tmp_path, tmp_path / "new"):
        with pytest.raises(InputError, match=rf"--output={path}: it must name a picture, as in {path}/schedule.png"):
            draw_schedule(config("StepLR"), 10, path)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match=r"gives a rate of -0\.01 at step 11 of 100"):
        draw_schedule(config("LambdaLR", lr_lambda="1 - t"), 10, tmp_path / "a.png")


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        ("constant", {}, []),
        ("StepLR", {"step_size": 4}, [(40.0, "drop"), (80.0, "drop")]),
        ("StepLR", {"step_size": 1, "unit": "steps"}, []),
        ("MultiStepLR", {"milestones": (3, 70)}, [(30.0, "drop")]),
        ("CosineAnnealingLR", {"warmup": 2}, [(20.0, "warm-up ends")]),
        ("CosineAnnealingLR", {"warmup": 2, "T_max": 5}, [(20.0, "warm-up ends"), (70.0, "lowest rate")]),
        ("CosineAnnealingWarmRestarts", {"T_0": 2, "T_mult": 2}, [(20.0, "restart"), (60.0, "restart")]),
        ("CyclicLR", {"step_size_up": 1, "step_size_down": 4}, [(50.0, "cycle")]),
        ("OneCycleLR", {}, [(29.0, "peak")]),
        ("OneCycleLR", {"three_phase": True}, [(29.0, "peak"), (58.0, "first rate")]),
        ("SWALR", {"anneal_epochs": 3}, [(30.0, "end of the change")]),
        (
            "SequentialLR",
            {"schedulers": (("LinearLR", {"total_iters": 3}), ("StepLR", {"step_size": 2})), "warmup": 1},
            [(10.0, "warm-up ends, LinearLR"), (40.0, "end of the change"), (60.0, "StepLR"), (80.0, "drop")],
        ),
        ("ChainedScheduler", {}, [(50.0, "end of the change")]),
    ],
)
def test_phases(name: str, changes: dict[str, Any], expected: list[tuple[float, str]]) -> None:
    assert phases(config(name, **changes).schedule, 10, 10) == expected
