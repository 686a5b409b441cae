"""TFDS's descriptions name no module that is imported, and no file outside of their folder."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from cnn_jax import data
from tests.support.helpers import data_settings, read_json, refusal
from tests.support.hostile import EVIL


def dataset(tmp_path: Path, tfds_data: str) -> Path:
    """MNIST's descriptions, without its records: they are read first."""
    (original,) = (Path(tfds_data) / "mnist").glob("*")
    folder = tmp_path / "tfds/mnist" / original.name
    folder.mkdir(parents=True)
    for name in ("features.json", "dataset_info.json"):
        shutil.copyfile(original / name, folder / name)
    return folder


def nested(tree: Any, depth: int) -> Any:
    """A feature in a sequence, in the two forms in which TFDS writes JSON into JSON."""
    for _ in range(depth):
        tree = {"jsonFeature": {"json": json.dumps({"feature": tree})},
                "pythonClassName": "tensorflow_datasets.core.features.sequence_feature.Sequence"}  # fmt: skip
    return tree


FEATURE_FORMS = {
    "plain": {"pythonClassName": "planted.Feature", "jsonFeature": {"json": "{}"}},
    "other spelling": {"python_class_name": "planted.Feature", "json_feature": {"json": "{}"}},
    "within text": nested({"type": "planted.Feature", "content": {}}, 2),
    "a module of ours": {"pythonClassName": "tensorflow_datasets.core.features.planted.deep.Feature"},
    "a module of Python's": {"pythonClassName": "antigravity.Feature"},
}


@pytest.mark.parametrize(
    ("form", "file"), [*((form, "features.json") for form in FEATURE_FORMS), ("within text", "dataset_info.json")]
)
def test_features_that_name_a_module(
    tmp_path: Path, tfds_data: str, ran: Path, monkeypatch: pytest.MonkeyPatch, form: str, file: str
) -> None:
    """TFDS alone would import it, from wherever Python looks for modules."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules/planted.py").write_text(f"open({str(ran)!r}, 'w')\n")
    monkeypatch.syspath_prepend(tmp_path / "modules")
    folder = dataset(tmp_path, tfds_data)
    features = read_json(folder / "features.json")
    features["featuresDict"]["features"]["other"] = FEATURE_FORMS[form]
    content = features if file == "features.json" else read_json(folder / file) | {"features": features}
    (folder / file).write_text(json.dumps(content))
    (folder / "features.json").unlink(missing_ok=file != "features.json")
    if file == "features.json":
        (folder / file).write_text(json.dumps(content))
    line = refusal(data.load, data_settings(source="tfds", name="mnist", dir=str(tmp_path / "tfds")))
    assert "not TFDS's own" in line
    assert not ran.exists()
    assert "planted" not in sys.modules


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"moduleName": "planted"}, "mnist"),
        ({"fileFormat": "tfrecord"}, "needs TensorFlow to read"),
        ({"fileFormat": "planted"}, "needs TensorFlow to read"),
        ({"name": "../../elsewhere"}, "leads out of the folder"),
        ({"splits": [{"name": "train", "filepathTemplate": "/etc/passwd", "shardLengths": ["1"]}]}, "leads out"),
        ({"splits": [{"name": "train", "filepathTemplate": "gs://evil/{SPLIT}", "shardLengths": ["1"]}]}, "leads out"),
        ({"splits": {"name": 3}}, "damaged"),
        ({"splits": [{"name": ["train"]}]}, "leads out"),
        ({"version": EVIL}, "damaged"),
        ({"features": "[" * 100_000}, "damaged|mnist"),
    ],
)  # fmt: skip
def test_descriptions_of_a_dataset(
    tmp_path: Path, tfds_data: str, ran: Path, monkeypatch: pytest.MonkeyPatch, change: Any, words: str
) -> None:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules/planted.py").write_text(f"open({str(ran)!r}, 'w')\n")
    monkeypatch.syspath_prepend(tmp_path / "modules")
    folder = dataset(tmp_path, tfds_data)
    (folder / "dataset_info.json").write_text(json.dumps(read_json(folder / "dataset_info.json") | change))
    line = refusal(data.load, data_settings(source="tfds", name="mnist", dir=str(tmp_path / "tfds")))
    assert any(word in line for word in words.split("|"))
    assert not ran.exists()
    assert not any(name == "tensorflow" or name.startswith("planted") for name in sys.modules)
