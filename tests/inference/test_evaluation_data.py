"""Which images an evaluation takes: a run's own split, wherever it lies, or other data with some of its classes."""

import csv
import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from cnn_jax import data
from cnn_jax.data.normalize import Normalization
from cnn_jax.inference.evaluation import assess, evaluate
from cnn_jax.inference.evaluation_data import load_evaluation_data, load_split
from cnn_jax.inference.run import Run
from tests.support.helpers import refusal, tiny_config

CLASSES = ("ant", "bee", "cat")
LEVELS = {"ant": 20, "bee": 120, "cat": 220, "dog": 60}


def save(folder: Path, *names: str) -> Path:
    """Grey pictures of 4x4 whose level says their class; no two are alike."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        label = next(part for part in path.parts[::-1] if part in LEVELS)
        Image.new("L", (4, 4), LEVELS[label] + len(list(path.parent.iterdir()))).save(path)
    return folder


def numbered(classes: tuple[str, ...], count: int, folder: str = "") -> list[str]:
    return [f"{folder}{name}/{i}.png" for name in classes for i in range(count)]


def manifest(folder: Path, name: str, split: str | None, *paths: str) -> Path:
    with open(folder / name, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", *([] if split is None else ["split"])])
        writer.writerows([path, Path(path).parent.name, *([] if split is None else [split])] for path in paths)
    return folder / name


def archive(path: Path, levels: dict[str, int], split: str | None = None) -> Path:
    images = np.stack([np.full((4, 4), level, np.uint8) for level in levels.values() for _ in range(3)])
    arrays = {"image": images, "label": np.repeat(list(levels), 3)}
    np.savez(path, **arrays, **({} if split is None else {"split": np.full(len(images), split)}))  # type: ignore[arg-type]
    return path


def run_on(source: str, place: Path, **changes: Any) -> Run:
    """A run that needs no training: it tells the classes by their grey level."""
    config = tiny_config(data__source=source, data__dir=str(place), **changes)
    splits = data.load(config.data)

    def apply(variables: Any, images: Any) -> Any:
        levels = jnp.array([LEVELS[name] for name in splits.class_names], jnp.float32)
        return -jnp.abs(images.astype(jnp.float32).mean((1, 2)) - levels[None])

    normalization = Normalization("none", (0.0,), (1.0,))
    resolved = {"fingerprint": splits.fingerprint, "loading": splits.loading}
    return Run(config, splits.image_shape, splits.class_names, normalization, {}, apply, resolved)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten pictures of each of three classes."""
    return save(tmp_path_factory.mktemp("data") / "photos", *numbered(CLASSES, 10))


@pytest.fixture(scope="module")
def run(photos: Path) -> Run:
    return run_on("folder", photos)


def test_some_of_the_classes_are_enough(run: Run, tmp_path: Path) -> None:
    """The matrix is that of all classes; what is not there has no recall, and does not enter the mean."""
    other = save(tmp_path / "other", *numbered(("cat", "bee"), 3))
    (other / "ant").mkdir()
    chosen = load_evaluation_data(run, "test", str(other))
    assert chosen.split == "all"
    assert chosen.examples.labels.tolist() == [1, 1, 1, 2, 2, 2]
    figures = evaluate(run, chosen.examples).figures
    assert figures["confusion_matrix"] == [[0, 0, 0], [0, 3, 0], [0, 0, 3]]
    assert [row["recall"] for row in figures["per_class"]] == [None, 1, 1]
    assert figures["balanced_accuracy"] == 1
    assert load_split(run, "test", str(save(tmp_path / "one", "cat/1.png"))).labels.tolist() == [2]


def test_unknown_classes_are_all_named(run: Run, tmp_path: Path) -> None:
    unknown = [f"kind of beetle {k}" for k in range(12)]
    other = save(tmp_path / "other", "ant/1.png", *(f"{name}/dog/1.png" for name in unknown))
    line = refusal(load_split, run, "test", str(other))
    assert f"12 classes that the model does not know: {', '.join(sorted(unknown))}; it was trained on" in line
    assert line.endswith("ant, bee, cat")


@pytest.mark.parametrize("split", ["test", "validation"])
def test_a_manifest_of_one_split(photos: Path, run: Run, split: str) -> None:
    rows = manifest(photos.parent, f"{split}.csv", split, *numbered(("bee", "ant"), 2, "photos/"))
    chosen = load_evaluation_data(run, split, str(rows))
    assert (chosen.split, chosen.examples.labels.tolist()) == (split, [1, 1, 0, 0])
    wanted = "validation" if split == "test" else "test"
    assert f"--split={wanted}: {rows.name} has no such split" in refusal(load_split, run, wanted, str(rows))


def test_any_kind_of_source_is_taken(photos: Path, run: Run, tmp_path: Path) -> None:
    """A run of one kind is evaluated on data of another, with its own numbers of the classes."""
    rows = manifest(photos.parent, "whole.csv", None, *numbered(CLASSES, 10, "photos/"))
    stored = archive(tmp_path / "few.npz", {"cat": 220, "ant": 20}, "test")
    of_rows, of_arrays = run_on("csv", rows), run_on("npz", archive(tmp_path / "all.npz", dict.fromkeys(CLASSES, 9)))
    of_tfds = dataclasses.replace(run, config=tiny_config(data__source="tfds", data__name="mnist"))
    other = save(tmp_path / "other", *numbered(("cat", "ant"), 2))
    for of_one_kind in (run, of_rows, of_arrays, of_tfds):
        for place, labels in ((other, [0, 0, 2, 2]), (stored, [2, 2, 2, 0, 0, 0])):
            assert load_split(of_one_kind, "test", str(place)).labels.tolist() == labels
    assert len(load_split(run, "test", str(rows))) == 30


def test_a_run_of_no_files_takes_a_folder(trained: Path, tmp_path: Path) -> None:
    """Digits of scikit-learn were trained on; a folder is evaluated."""
    other = save(tmp_path / "other", *numbered(("ant", "bee"), 2))
    for name, digit in (("ant", "7"), ("bee", "3")):
        (other / name).rename(other / digit)
    figures = assess(shutil.copytree(trained, tmp_path / "run"), "test", str(other)).figures
    assert [row["support"] for row in figures["per_class"]] == [0, 0, 0, 2, 0, 0, 0, 2, 0, 0]
    assert figures["split"] == "all"


def folder_and_copy(folder: Path) -> tuple[Path, Path]:
    place = save(folder / "photos", *numbered(CLASSES, 10))
    return place, Path(shutil.copytree(place, folder / "elsewhere"))


def manifest_and_copy(folder: Path) -> tuple[Path, Path]:
    save(folder / "photos", *numbered(CLASSES, 10))
    place = manifest(folder, "rows.csv", None, *numbered(CLASSES, 10, "photos/"))
    shutil.copytree(folder / "photos", folder / "elsewhere/photos")
    return place, Path(shutil.copy(place, folder / "elsewhere/renamed.csv"))


def archive_and_copy(folder: Path) -> tuple[Path, Path]:
    place = archive(folder / "own.npz", {name: LEVELS[name] for name in CLASSES})
    return place, Path(shutil.copy(place, folder / "renamed.npz"))


@pytest.mark.parametrize(
    ("source", "make", "count"),
    [("folder", folder_and_copy, 10), ("csv", manifest_and_copy, 10), ("npz", archive_and_copy, 3)],
)
def test_moved_data_keep_their_split(
    tmp_path: Path, source: str, make: Callable[[Path], tuple[Path, Path]], count: int
) -> None:
    """What has the run's fingerprint is its data: its test images are taken, never those that it was trained on."""
    place, copy = make(tmp_path)
    trained = run_on(source, place, data__test=0.34, data__validation=0)
    own, there = (load_evaluation_data(trained, "test", where) for where in (None, str(copy)))
    assert there.split == "test"
    place.rename(tmp_path / "away")
    assert "are not there; say where they are now with --data_dir=PATH" in refusal(load_split, trained, "test")
    assert len(there.examples) == len(own.examples) == count
    assert np.array_equal(own.examples.read(np.arange(count)), there.examples.read(np.arange(count)))


def test_archives_of_one_name_and_size_differ(tmp_path: Path) -> None:
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
    place = archive(tmp_path / "first/a.npz", {"ant": 20, "bee": 120})
    other = archive(tmp_path / "second/a.npz", {"ant": 21, "bee": 121})
    assert place.stat().st_size == other.stat().st_size
    chosen = load_evaluation_data(run_on("npz", place, data__test=0.34, data__validation=0), "test", str(other))
    assert (chosen.split, len(chosen.examples)) == ("all", 6)


def test_changed_data_are_no_test_split(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path(shutil.copytree(photos, tmp_path / "photos"))
    trained = run_on("folder", folder)
    save(folder, "ant/new.png")
    chosen = load_evaluation_data(trained, "test", str(folder))
    assert (chosen.split, len(chosen.examples)) == ("all", 31)
    said = capsys.readouterr().err
    assert "has changed since the model was trained, so that its test split cannot be told any more: all of" in said
    assert "has no split" not in said, "that is not the reason"
    load_evaluation_data(trained, "test", str(folder.rename(tmp_path / "moved")))
    assert "has no split 'test' of its own, and is not, or no longer, what the model" in capsys.readouterr().err


def test_a_class_may_have_the_name_of_a_split(photos: Path, run: Run, tmp_path: Path) -> None:
    """`test/` is a split, unless the model has a class of that name; two folders for one split are refused."""
    only = save(tmp_path / "only", *numbered(("ant", "bee"), 2, "test/"))
    assert load_evaluation_data(run, "test", str(only)).split == "test"
    named = dataclasses.replace(run, class_names=("ant", "bee", "test"))
    taken = load_evaluation_data(named, "test", str(only))
    assert (taken.split, taken.examples.labels.tolist()) == ("all", [2, 2, 2, 2])
    save(only, "tests/ant/1.png")
    assert "both test/ and tests/ name the split test" in refusal(load_split, run, "test", str(only))


def test_unreadable_pictures_of_other_data(run: Run, tmp_path: Path) -> None:
    other = save(tmp_path / "other", "ant/1.png", "bee/1.png")
    (other / "bee/2.png").write_bytes(b"torn")
    assert "1 of 3 images cannot be used" in refusal(load_split, run, "test", str(other))
    run.config.data.on_error = "skip"
    try:
        assert load_split(run, "test", str(other)).labels.tolist() == [0, 1]
    finally:
        run.config.data.on_error = "raise"
