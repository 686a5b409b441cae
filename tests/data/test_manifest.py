"""Manifests: their text, their columns, their rows, and the files that these name."""

import os
import re
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnn_jax import data
from cnn_jax.errors import InputError
from tests.support.helpers import data_settings, refusal


def load(path: Path, **changes: Any) -> data.Splits:
    return data.load(data_settings(source="csv", dir=str(path), **{"validation": 0, "test": 0, **changes}))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    for i in range(6):
        Image.new("RGB", (5, 4), (i, i, i)).save(tmp_path / f"images/{i}.png")
    return tmp_path


def manifest(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    (folder / "labels.csv").write_bytes(text.encode(encoding))
    return folder / "labels.csv"


def pixels(splits: data.Splits) -> list[int]:
    return splits.train.read(np.arange(len(splits.train)))[:, 0, 0, 0].tolist()  # type: ignore[no-any-return]


ROWS = "".join(f"images/{i}.png,{'ab'[i % 2]}\n" for i in range(6))


def test_a_manifest(images: Path) -> None:
    rows = "".join(f'images/{i}.png,"{"ant, red" if i % 2 else "bee"}",{split}\n' for i, split in enumerate(
        ("train", "train", "val", "Test", "train", "")
    ))  # fmt: skip
    splits = load(manifest(images, "Path,label,split\n" + rows))
    assert splits.class_names == ("ant, red", "bee")
    assert splits.train.labels.tolist() == [1, 0, 1, 0]
    assert pixels(splits) == [0, 1, 4, 5]
    assert [len(part) for part in (splits.validation, splits.test) if part] == [1, 1]


def test_absolute_paths_and_no_split_column(images: Path) -> None:
    rows = "".join(f"{images / 'images'}/{i}.png,{i % 2}\n" for i in range(6))
    splits = load(manifest(images, "path,label\n" + rows), test=2)
    assert (len(splits.train), len(splits.test or ())) == (4, 2)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_encodings_and_delimiters(images: Path, encoding: str, delimiter: str) -> None:
    """As spreadsheets write them; a delimiter may also stand inside a quoted cell."""
    text = "note,path,label\n" + "".join(f'"1,2;3|4",images/{i}.png,{"éø"[i % 2]}\n' for i in range(6))
    text = text.replace(",", delimiter).replace(f"1{delimiter}2", "1,2")
    splits = load(manifest(images, text, encoding))
    assert splits.class_names == ("é", "ø")
    assert pixels(splits) == [0, 1, 2, 3, 4, 5]


def test_a_line_that_tells_the_delimiter(images: Path) -> None:
    assert len(load(manifest(images, "sep=;\npath,label\n".replace(",", ";") + ROWS.replace(",", ";"))).train) == 6


def test_columns_and_folder_by_keys(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(images)
    rows = "".join(f"{i}.png,{'ab'[i % 2]},{'ab'[i // 3]},{('train', 'test')[i == 5]},no\n" for i in range(6))
    path = manifest(images, "filename,class,label,fold,split\n" + rows)
    keys = {"image_column": "filename", "split_column": None, "images_dir": "images"}
    plain = load(path, **keys)
    assert plain.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    named = load(path, **{**keys, "label_column": "Class", "split_column": "fold"})
    assert named.train.labels.tolist() == [0, 1, 0, 1, 0]
    assert named.test is not None
    assert named.test.labels.tolist() == [1]


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({}, r"no column path.*names filename, class, fold: choose with data\.image_column=NAME"),
        ({"image_column": "filname", "label_column": "class"}, r"no column filname \(did you mean 'filename'\?\); its"),
        ({"image_column": "filename", "label_column": "class", "split_column": "part"}, "no column part"),
        ({"images_dir": "pictures"}, r"data\.images_dir=pictures: there is no such folder"),
        ({"image_column": "filename", "label_column": "class", "group": "who"}, r"data\.group='who': .* no such"),
    ],
)  # fmt: skip
def test_columns_that_are_not_there(images: Path, keys: dict[str, Any], words: str) -> None:
    path = manifest(images, "filename,class,fold\n" + ROWS.replace("\n", ",train\n"))
    assert re.search(words, refusal(load, path, **keys))


def test_a_folder_beside_the_manifest(images: Path) -> None:
    """A relative images_dir begins where the command runs, as data.dir does."""
    line = refusal(load, manifest(images, "path,label\n" + ROWS), images_dir="images")
    assert f"{images}/images may be meant" in line


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no column path and no column label"),
        ("path,split\n", "no column label"),
        ("path,label\n", "no rows"),
        ("path,label\nimages/0.png,\n", "line 2: its label is empty"),
        ("path,label\n,a\n", "line 2: its path is empty"),
        ("path,label,x\n,,3\n", "line 2: its path and its label are empty"),
        ("path,label\nimages/0.png\n", "line 2: its label is empty"),
        ("path,label\n,\n", "line 2: it is empty"),
        ("path,label\nimages/0.png,a\nimages/1.png,a\n", "all rows have the label 'a'"),
        ("path,label\nimages/0.png,a\nimages/0.png,b\n", r"lines 2, 3: images/0\.png has the labels a, b"),
        ("path,label\nimages/0.png,a\nimages/../images/0.png,b\n", r"lines 2, 3: .* has the labels a, b"),
        ("path,label,split\nimages/0.png,a,\nimages/0.png,a,test\n", "has the splits train, test"),
        ("path,label,split\nimages/0.png,a,holdout2\n", "split 'holdout2' must be train, validation or test"),
        ("path,label,split\nimages/0.png,a,test\nimages/1.png,b,test\n", "no row has the split 'train'"),
        ('path,label\n"images/0.png,a\n', "not a CSV file"),
        ("path,label,label\nimages/0.png,a,b\n", "names a column twice"),
        ("path,label\nimages/0.png,a,b\n", "line 2: it has more cells"),
    ],
)
def test_manifests_that_cannot_be_used(images: Path, text: str, words: str) -> None:
    assert re.search(words, refusal(load, manifest(images, text)))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"path,label\n\xff\xfe,a\n", "no text in UTF-8"),
        ("path,label\nimages/0.png,caf\xe9\n".encode("cp1252"), r"line 2: images/0\.png,caf\xe9\); save it as"),
        ("path,label\n".encode("utf-16-le"), "UTF-16, perhaps"),
        (b"path,label\na\0b,a\n", "zero byte|not a CSV"),
        (b"PK\x03\x04\x14\0", "a spreadsheet or an archive; save the table as 'CSV UTF-8'"),
    ],
)
def test_manifests_that_are_no_text(images: Path, content: bytes, words: str) -> None:
    (images / "labels.csv").write_bytes(content)
    assert re.search(words, refusal(load, images / "labels.csv"))


def test_places_that_are_no_manifest(images: Path) -> None:
    os.mkfifo(images / "pipe")
    for path, words in (("none.csv", "no such file"), (".", "not a regular file"), ("pipe", "not a regular file")):
        with pytest.raises(InputError, match=words):
            load(images / path)


BAD = (
    "path,label\n" + ROWS
    + ",\nimages/0.png,b\nimages/1.png,\n,a\n,a\nimages/9.png,a\nimages/1.png,b\nimages/5.png,c\nimages/8.png,d\n"
)  # fmt: skip


def test_all_bad_rows_are_listed_at_once(images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before any picture is decoded: one of them is none."""
    (images / "images/2.png").write_bytes(b"none")
    line = refusal(load, manifest(images, BAD))
    assert "10 of 14 rows cannot be used" in line
    said = [text.partition("labels.csv, ")[2] for text in capsys.readouterr().err.splitlines()]
    assert [text for text in said if text] == [
        "lines 2, 9: images/0.png has the labels a, b",
        "lines 7, 15: images/5.png has the labels b, c",
        "line 8: it is empty",
        "line 10: its label is empty",
        "line 11: its path is empty",
        "line 12: its path is empty",
        "line 13: images/9.png: there is no such file",
        "line 16: images/8.png: there is no such file",
    ]


def test_bad_rows_are_left_out(images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Equal rows count once; a class that has lost all its rows is named; the run's record has the lines."""
    splits = load(manifest(images, BAD), on_error="skip")
    assert pixels(splits) == [1, 2, 3, 4]
    assert splits.class_names == ("a", "b")
    assert len(splits.skipped) == 8
    said = capsys.readouterr().err
    assert "1 row repeats another; each file counts once" in said
    assert "left out 10 of 14 rows" in said
    assert "no row of 2 classes can be used (c, d): left out" in said


def test_the_audit_goes_on_without_bad_rows(images: Path) -> None:
    from cnn_jax.audit.audit import audit
    from tests.support.helpers import tiny_config

    path = manifest(images, BAD)
    report = audit(tiny_config(data__source="csv", data__dir=str(path)), images / "out").report
    (found,) = (finding for finding in report["findings"] if finding["kind"] == "rows of the manifest")
    assert found["level"] == "error"
    assert f"{path}, lines 2, 9: images/0.png has the labels a, b" in found["about"]
    assert found["count"] == 8


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        (r"images\1.png", r"there is images/1.png, with / in place of \ "),
        ("Images/1.PNG", "there is images/1.png, in another case"),
        (unicodedata.normalize("NFD", "images/é.png"), "there is images/é.png, whose name is written in another"),
        ("images/1.jpg", "there is images/1.png, is it meant?"),
        ("images/1", "there is images/1.png, is it meant?"),
        (r"C:\Users\me\images\1.png", "there is images/1.png, is it meant?"),
        ("1.png", "there is images/1.png, so data.images_dir={folder}/images may be meant"),
        ("images/77.png", ""),
    ],
)
def test_a_file_that_may_be_meant(images: Path, written: str, hint: str) -> None:
    Image.new("RGB", (5, 4)).save(images / unicodedata.normalize("NFC", "images/é.png"))
    line = refusal(load, manifest(images, f"path,label\n{ROWS}{written},a\n"))
    if hint:
        assert hint.strip().replace("{folder}", str(images)) in unicodedata.normalize("NFC", line)
    else:
        assert "there is no such file (--config.data.on_error=skip" in line


def test_none_of_the_files_is_there(images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, whatever `on_error` says: what is wrong is where they are looked for."""
    rows = "".join(f"{i}.png,{'ab'[i % 2]}\n" for i in range(6))
    for on_error in ("raise", "skip"):
        line = refusal(load, manifest(images, "path,label\n" + rows), on_error=on_error)
        assert (
            f"none of its 6 files is there; the first would be {images}/0.png; there is images/0.png, so data." in line
        )
    assert not capsys.readouterr().err


def test_files_that_no_row_names(images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of the kind of those listed, in the same folders."""
    for name in ("mask.gif", ".hidden.png", "notes.txt"):
        (images / "images" / name).write_bytes(b"")
    rows = "".join(ROWS.splitlines(keepends=True)[:4])
    load(manifest(images, "path,label\n" + rows))
    assert "no row names 2 of the files beside those listed (images/4.png, images/5.png)" in capsys.readouterr().err
    load(manifest(images, "path,label\n" + ROWS))
    assert "no row names" not in capsys.readouterr().err
