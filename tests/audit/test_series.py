"""Series of pictures that a split would part."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnn_jax import data
from cnn_jax.audit.audit import audit
from cnn_jax.audit.findings import Finding
from cnn_jax.audit.quality import Entry
from cnn_jax.audit.series import PATTERN, series_findings
from tests.support.helpers import data_settings, script, tiny_config


def about(
    names: dict[str, int], groups: dict[str, np.ndarray] | None = None, in_folders: bool = True
) -> tuple[str, ...]:
    entries = [Entry("train", i, label, name, Path(name).suffix, None) for i, (name, label) in enumerate(names.items())]  # type: ignore[arg-type]
    (found,) = series_findings(entries, groups, in_folders)
    assert isinstance(found, Finding)
    return found.about


def test_series_are_told_by_their_names() -> None:
    people = {f"/d/{'ab'[p % 2]}/p{p}_{n}.jpg": p % 2 for p in range(8) for n in range(1 + p % 4)}
    (line,) = about(people)
    assert line.startswith(
        "18 of 20 pictures are in 6 series (p3_…: 4, p7_…: 4, p2_…: 3, p6_…: 3, p1_…: 2): data.group="
    )
    films = {f"/d/{'ab'[p % 2]}/film {p}/{n:04}.png": p % 2 for p in range(8) for n in range(9)}
    assert about(films)[0].startswith("72 of 72 pictures are in 8 series (film 0/…: 9,")
    assert about(films, in_folders=False) == ()
    assert about(people, in_folders=False) == (line,)


@pytest.mark.parametrize("form", ["{c}/{c}_{n:03}.jpg", "{c}/IMG_{k}{n:03}.jpg", "{c}/{k}{n}.png", "{c}/{h}.jpg"])
def test_plain_numbers_are_no_series(form: str) -> None:
    """Names of classes, of cameras, of nothing; random ones."""
    random = np.random.RandomState(0)
    names = {f"/d/{form.format(c='abc'[k], k=k, n=n, h=random.bytes(8).hex())}": k for k in range(3) for n in range(40)}
    assert about(names) == ()


def test_a_folder_with_the_config_of_a_manifest(tmp_path: Path) -> None:
    """`--dir` takes the place of the manifest, its columns and its groups."""
    for k in range(4):
        (tmp_path / "in" / "ab"[k % 2]).mkdir(parents=True, exist_ok=True)
        Image.new("L", (9, 9), 40 * k).save(tmp_path / "in" / "ab"[k % 2] / f"{k}.png")
    lines = ["from cnn_jax.config import default_config", "def get_config():", "    config = default_config()"]
    keys = {"source": "csv", "dir": "labels.csv", "image_column": "file", "group": "person", "images_dir": "x"}
    lines += [f"    config.data.{key} = {value!r}" for key, value in keys.items()]
    (tmp_path / "mine.py").write_text("\n".join([*lines, "    return config"]))
    result = script("audit_data.py", f"--config={tmp_path / 'mine.py'}", f"--dir={tmp_path / 'in'}",
                    f"--output={tmp_path / 'out'}")  # fmt: skip
    assert "4 images" in result.stdout, result.stderr


def test_groups_that_the_data_part() -> None:
    groups = {"train": np.array([0, 0, 1, 2]), "test": np.array([1, 3])}
    assert about({}, groups) == ("1 of 4 groups stand in train and in test",)


def test_the_audit_says_which_group_to_set(tmp_path: Path) -> None:
    """The pattern that it names keeps the series whole, and then there is nothing to warn of."""
    for p in range(8):
        for n in range(6):
            path = tmp_path / "in" / "ab"[p % 2] / f"p{p}_{n}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.random.RandomState(9 * p + n).randint(0, 255, (9, 9), np.uint8)).save(path)
    config = tiny_config(data__source="folder", data__dir=str(tmp_path / "in"))
    kinds = {kind["kind"]: kind for kind in audit(config, tmp_path / "out").report["findings"]}
    told = re.search("data.group='(.*)'", kinds["series"]["about"][0])
    assert told is not None
    assert told[1] == PATTERN
    settings = data_settings(source="folder", dir=str(tmp_path / "in"), group=told[1], test=0.25, validation=0)
    assert [len(part) for part in (data.load(settings).train, data.load(settings).test) if part] == [36, 12]
    config.data.group = told[1]
    again = audit(config, tmp_path / "again").report["findings"]
    assert not {"series", "groups across splits"} & {kind["kind"] for kind in again}
