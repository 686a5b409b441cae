"""The ImageNet recipe, from its own file: how it divides the data, and its first steps on real photographs."""

import math
from pathlib import Path

import ml_collections
import pytest

from cnn_jax import data
from cnn_jax.config.tree import load_config, override
from cnn_jax.experiment.fitting import fit
from cnn_jax.runs.metrics_file import read_rows
from tests.support.helpers import read_json


def folder_of(photographs: list[Path], root: Path, held_out: str) -> Path:
    """Four classes as ImageNet has them: 6 photographs each to train on, and 2 held out."""
    for i, path in enumerate(photographs[:32]):
        folder = root / ("train" if i % 8 < 6 else held_out) / f"class{i // 8}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / path.name).symlink_to(path)
    return root


def small(root: Path) -> ml_collections.ConfigDict:
    """The recipe with smaller pictures, batches and network (ResNets are test_models'); nothing else is changed."""
    changes = [
        ("data.dir", str(root)),
        ("data.image_size", 64),
        ("model.name", "cnn"),
        ("model.filters", (8, 16)),
        ("model.hidden", ()),
        ("model.global_pool", "global_mean"),
        ("batch_size", 8),
        ("num_epochs", 1),
        ("schedule.warmup", 0.5),
        ("parallel.devices", 1),
    ]
    return override(load_config("configs/imagenet_resnet50.py"), changes)


@pytest.mark.parametrize(("held_out", "sizes"), [("val", (24, 8, None)), ("test", (20, 4, 8))])
def test_the_name_of_the_folder_decides_what_is_held_out(
    photographs: list[Path], tmp_path: Path, held_out: str, sizes: tuple[int, int, int | None]
) -> None:
    config = small(folder_of(photographs, tmp_path, held_out))
    config = override(config, [("data.validation", 4)] if held_out == "test" else [])  # 1 % of 24 would be none
    splits = data.load(config.data)
    found = (splits.train, splits.validation, splits.test)
    assert tuple(None if part is None else len(part) for part in found) == sizes
    assert splits.loading == "streamed"
    assert splits.class_names == ("class0", "class1", "class2", "class3")


@pytest.mark.slow
def test_the_first_steps_of_the_recipe(photographs: list[Path], tmp_path: Path) -> None:
    config = small(folder_of(photographs, tmp_path / "imagenet", "val"))
    summary = fit(config, tmp_path / "run")
    assert summary["steps"] == 3
    assert "test_accuracy" not in summary
    assert math.isfinite(summary["validation_loss"])
    saved = read_json(tmp_path / "run/config.json")
    assert saved["precision"] == "bfloat16"
    assert saved["resolved"]["image_shape"] == [64, 64, 3]
    (loss,) = (row["loss"] for row in read_rows(tmp_path / "run/metrics.jsonl") if row["split"] == "train")
    assert 1 < loss < 4  # of a network that has barely begun, at a rate that is meant for larger batches
