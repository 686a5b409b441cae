"""What an audit measures, on clean data and with a model."""

import functools
import json
from collections.abc import Callable
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageFilter
from sklearn.datasets import load_digits as sklearn_digits

from cnn_jax.audit.audit import audit
from cnn_jax.audit.duplicates import exact_groups, near_groups
from cnn_jax.audit.findings import Finding, find_all
from cnn_jax.audit.pictures import read_again
from cnn_jax.audit.quality import measure_all, sharpness
from cnn_jax.audit.set_statistics import statistics
from cnn_jax.audit.suspects import embedding_outliers, project
from cnn_jax.config.tree import to_json
from cnn_jax.data import load_source
from cnn_jax.data.normalize import Normalization
from cnn_jax.data.reading.images import quiet
from cnn_jax.errors import InputError
from cnn_jax.inference.run import load_run
from cnn_jax.runs.checkpoints import open_checkpoints
from tests.support.audits import entries_of, second_look
from tests.support.helpers import read_json, script, tiny_config
from tests.support.made_up import encoded, found_names, photograph, read_page, scaled_levels


def of_level(found: list[Finding], level: str) -> dict[str, int]:
    return {finding.kind: finding.count for finding in found if finding.of.level == level}


@pytest.mark.parametrize("name", ["cifar10", "mnist"])
def test_clean_data_are_not_accused(name: str, tfds_data: str) -> None:
    source = load_source(tiny_config(data__source="tfds", data__name=name).data)
    part = source.splits["train"].subset(np.arange(300))
    with quiet():
        entries = [entry for entries in measure_all("train", part) for entry in entries]
    found = find_all(entries, source.class_names, functools.partial(read_again, {"train": part}, entries))
    assert not of_level(found, "error")
    assert not of_level(found, "warning")
    assert len(entries) == 300


@pytest.mark.parametrize("source", ["digits", "synthetic"])
def test_made_up_and_small_data_are_not_accused(source: str, tmp_path: Path) -> None:
    result = audit(tiny_config(data__source=source, data__examples=300), tmp_path)
    assert result.report["findings"] == []
    read_page(result.page)


def test_photographs_and_their_copies(photographs: list[Path]) -> None:
    """Real pictures are not accused; their copies are found, each with its original, however they were made."""
    pictures = [Image.open(path).convert("RGB") for path in photographs[::5]]
    changes: list[Callable[[Image.Image], bytes]] = [
        lambda image: encoded(image, quality=25),
        lambda image: encoded(image.resize((image.width // 3, image.height // 3)), quality=80),
        lambda image: encoded(image.resize((image.width * 3 // 2, image.height * 3 // 2))),
        lambda image: encoded(scaled_levels(image, 0, 200)),
        lambda image: encoded(image.convert("L")),
        lambda image: encoded(image, "PNG"),
    ]
    originals = [encoded(image, quality=95) for image in pictures]
    copies = [changes[i % len(changes)](image) for i, image in enumerate(pictures)]
    entries = entries_of(originals)
    clean = [finding for finding in find_all(entries, ["a"], second_look(originals)) if finding.suspects]
    assert not clean
    count = len(originals)
    groups = near_groups(both := entries_of(originals + copies), exact_groups(both), second_look(originals + copies))
    assert {group.rows for group in groups} == {(i, i + count) for i in range(count)}
    soft = pictures[::4]
    mixed = originals + [encoded(image.filter(ImageFilter.GaussianBlur(max(image.size) / 80))) for image in soft]
    found = next(f for f in find_all(entries_of(mixed), ["a"], second_look(mixed)) if f.kind == "very blurred")
    assert sum(suspect.row >= count for suspect in found.suspects) >= 0.95 * len(soft)
    assert all(suspect.row >= count for suspect in found.suspects)


def test_groups_do_not_depend_on_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = [photograph(seed) for seed in range(20)]
    contents = [encoded(image, quality=quality) for quality in (95, 95, 40, 30) for image in pictures]
    entries, look = entries_of(contents), second_look(contents)
    exact = exact_groups(entries)
    assert [group.rows for group in exact] == [(i, i + 20) for i in range(20)]
    whole = near_groups(entries, exact, look)
    assert sorted(group.rows for group in whole) == [(i, i + 20, i + 40, i + 60) for i in range(20)]
    monkeypatch.setattr("cnn_jax.audit.candidates._ROWS_AT_ONCE", 7)
    monkeypatch.setattr("cnn_jax.audit.candidates._PAIRS_AT_ONCE", 3)
    monkeypatch.setattr("cnn_jax.audit.registration._PAIRS_AT_ONCE", 3)
    assert near_groups(entries, exact, look) == whole


def test_copies_of_small_pictures() -> None:
    """Color pictures of 32 pixels, encoded in other light; below 16 pixels nothing is told apart."""
    for side, found in ((32, True), (12, False)):
        pictures = [photograph(seed, side, side) for seed in range(12)]
        copies = [scaled_levels(image, 30, 220) for image in pictures]
        contents = [encoded(image, quality=95) for image in pictures + copies]
        groups = near_groups(entries_of(contents), [], second_look(contents))
        assert sorted(group.rows for group in groups) == ([(i, i + 12) for i in range(12)] if found else [])


def test_sharpness_has_a_closed_form() -> None:
    signs = np.indices((42, 62)).sum(axis=0) % 2 * 2.0 - 1
    assert sharpness(np.float32(100 + 5 * signs)) == pytest.approx(64 * 25, rel=1e-3)  # the Laplacian is -8 x 5 x signs
    half = np.where(np.arange(62) < 31, 100 + 5 * signs, 100)
    assert sharpness(half.astype(np.float32)) == pytest.approx(64 * 25, rel=1e-3)  # its sharpest part counts
    assert sharpness(np.add.outer(np.arange(42.0), np.arange(62.0)).astype(np.float32)) == 0
    assert np.isnan(sharpness(np.zeros((5, 5), np.float32)))


def test_statistics_are_those_of_the_pixels() -> None:
    images = np.random.RandomState(0).randint(0, 256, (5, 20, 30, 3)).astype(np.uint8)
    figures = statistics(entries_of(list(images)), ["a"])
    assert figures["mean"] == pytest.approx((images / 255).mean(axis=(0, 1, 2)).tolist())
    assert figures["std"] == pytest.approx((images / 255).std(axis=(0, 1, 2)).tolist())
    assert figures["sizes"] == [{"width": 30, "height": 20, "images": 5}]


def test_small_sets_of_large_differences(tmp_path: Path) -> None:
    """All files are broken, some labels are none: still a report."""
    for name in ("a/1.jpg", "a/2.jpg", "b/3.jpg"):
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).write_text("no picture")
    result = audit(tiny_config(data__source="folder", data__dir=str(tmp_path / "set")), tmp_path / "out")
    assert found_names(result.report)["not an image"] == {"a/1.jpg", "a/2.jpg", "b/3.jpg"}
    read_page(result.page)
    contents = [encoded(photograph(i)) for i in range(4)]
    found = find_all(entries_of(contents, [0, 5, 1, -1]), ["a", "b"], second_look(contents))
    assert [suspect.row for suspect in found[0].suspects] == [1, 3]
    assert found[0].kind == "label out of range"


def test_empty_classes_are_errors(tmp_path: Path) -> None:
    for i in range(4):
        path = tmp_path / "set" / "ab"[i % 2] / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(photograph(i)))
    (tmp_path / "set/nothing").mkdir()
    result = audit(tiny_config(data__source="folder", data__dir=str(tmp_path / "set")), tmp_path / "out")
    assert result.report["findings"][0]["kind"] == "class without images"
    assert result.report["findings"][0]["about"] == ["nothing: its folder holds no image"]
    assert result.counts()["error"] == (1, 1)
    assert "nothing: its folder" in result.page.read_text()


def test_empty_classes_of_a_manifest(tmp_path: Path) -> None:
    """The manifest is named, and nothing is said of folders that play no part."""
    for i in range(4):
        (tmp_path / f"{i}.jpg").write_bytes(encoded(photograph(i)))
    rows = "".join(f"{i}.jpg,{'ab'[i % 2]}\n" for i in range(4))
    (tmp_path / "list.csv").write_text(f"path,label\n{rows}gone.jpg,nothing\n")
    result = audit(tiny_config(data__source="csv", data__dir=str(tmp_path / "list.csv")), tmp_path / "out")
    first = result.report["findings"][0]
    assert (first["kind"], first["about"]) == ("class without images", ["nothing: no row of list.csv can be used"])
    assert "its rows in the manifest" in first["what_to_do"]


def test_manifest(tmp_path: Path) -> None:
    for i in range(4):
        (tmp_path / f"{i}.jpg").write_bytes(encoded(photograph(i // 2)))
    (tmp_path / "list.csv").write_text("path,label,split\n0.jpg,a,train\n1.jpg,a,test\n2.jpg,b,train\n3.jpg,a,train\n")
    result = audit(tiny_config(data__source="csv", data__dir=str(tmp_path / "list.csv")), tmp_path / "out")
    names = found_names(result.report)
    assert names["duplicates across splits"] == {"0.jpg", "1.jpg"}
    assert names["duplicates with different labels"] == {"2.jpg", "3.jpg"}


def test_outliers_and_projection() -> None:
    random = np.random.RandomState(0)
    centres = random.normal(size=(3, 2000)) * 5
    labels = np.arange(300) % 3
    features = centres[labels] + random.normal(size=(300, 2000))
    small = project(features)
    assert small.shape == (300, 256)
    ratios = np.linalg.norm(small[:100] - small[100:200], axis=1) / np.linalg.norm(
        features[:100] - features[100:200], axis=1
    )
    assert np.abs(ratios - 1).max() < 0.25
    one, brighter = project(np.stack([features[0], features[0] + 1]))
    assert np.linalg.norm(brighter - one) == pytest.approx(2000**0.5, rel=0.15)
    assert not embedding_outliers(small, labels, np.arange(300)).suspects
    features[17] += 12 * random.normal(size=2000)
    features[40] = centres[(labels[40] + 1) % 3]
    found = embedding_outliers(project(features), labels, np.arange(300))
    assert {suspect.row for suspect in found.suspects} == {17, 40}


def write_run(workdir: Path, kernel: np.ndarray, bias: np.ndarray) -> None:
    """The run directory of a linear model on the digits."""
    config = to_json(tiny_config(model__name="linear"))
    resolved = {
        "image_shape": [8, 8, 1], "class_names": list("0123456789"),
        "normalization": Normalization("unit", (0.0,), (1.0,)).to_json(),
    }  # fmt: skip
    workdir.mkdir()
    (workdir / "config.json").write_text(json.dumps(config | {"resolved": resolved}))
    state = {
        "params": {"head": {"logits": {"kernel": jnp.asarray(kernel), "bias": jnp.asarray(bias)}}},
        "batch_stats": {},
    }
    with open_checkpoints(workdir / "checkpoints") as checkpoints:
        checkpoints.save(1, state, {"epoch": 1, "best": None}, config)


def test_with_a_model(tmp_path: Path) -> None:
    """A linear model on half of the digits, asked about the other half, in which labels are swapped."""
    from sklearn.linear_model import LogisticRegression

    bunch = sklearn_digits()
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    model = LogisticRegression(max_iter=3000).fit(images[::2].reshape(-1, 64) / 255, bunch.target[::2])
    write_run(tmp_path / "run", model.coef_.T.astype(np.float32), model.intercept_.astype(np.float32))
    others, labels = images[1::2].copy(), bunch.target[1::2].copy()
    swapped = [10, 200, 501]
    labels[swapped] = (labels[swapped] + 3) % 10
    others[300] = np.where(np.indices((8, 8)).sum(axis=0) % 2, 255, 0)  # no digit
    np.savez(tmp_path / "others.npz", image=others, label=labels, class_names=np.array(list("0123456789")))

    run = load_run(tmp_path / "run")
    assert np.allclose(run.embed(others[:3, ..., None]), others[:3].reshape(3, 64) / 255, atol=1e-6)
    expected = model.decision_function(others.reshape(-1, 64) / 255)
    assert np.abs(run.logits(others[..., None]) - expected).max() < 1e-3

    result = script(
        "audit_data.py", f"--workdir={tmp_path / 'run'}", f"--output={tmp_path / 'out'}", "--strict",
        "--config.data.source=npz", f"--config.data.dir={tmp_path / 'others.npz'}",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr  # warnings are no errors
    assert result.stdout.splitlines()[-1].endswith(str(tmp_path / "out" / "audit.html"))
    report = read_json(tmp_path / "out" / "audit.json")
    findings = {finding["kind"]: finding for finding in report["findings"]}
    suspects = [picture["index"] for picture in findings["hard for this model"]["pictures"]]  # three bear no figure
    assert "898 pictures that it was not trained on" in findings["hard for this model"]["about"][0]
    assert set(swapped) <= set(suspects[:5])
    assert len(suspects) < 0.03 * len(labels)
    assert findings["embedding outlier"]["pictures"][0]["index"] == 300
    assert len(findings["embedding outlier"]["pictures"]) < 0.02 * len(labels)
    hard = report["difficulty"]
    assert sum(row["images"] for row in hard) == len(labels)
    assert [row["loss"] for row in hard] == sorted((row["loss"] for row in hard), reverse=True)
    with pytest.raises(InputError, match="has other classes"):
        audit(tiny_config(data__source="synthetic"), tmp_path / "other", run)
