"""Feature maps, embedding and mistakes on whatever data there are: sections whose figures and pictures agree."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnn_jax.data import Examples
from cnn_jax.pages import report as page
from cnn_jax.reports import embedding, features, mistakes
from cnn_jax.reports.section import Section
from cnn_jax.reports.subject import Subject
from tests.support.subjects import make_subject, random_examples

SHAPE = (8, 8, 1)


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """60 images at random of five classes with hostile names, and as many to train on."""
    folder = tmp_path_factory.mktemp("plots")
    return make_subject(folder, random_examples(60, 5, SHAPE), 5, train=random_examples(60, 5, SHAPE, 1))


def check(section: Section | None) -> Any:
    """Its figures, which are finite; its pictures are there."""
    assert section is not None
    for picture in section.pictures:
        assert picture.file.read_bytes()[:4] == b"\x89PNG"
    for table in section.tables:
        assert all(len(row) == len(table.columns) for row in table.rows)
    return json.loads(json.dumps(dict(section.figures), allow_nan=False))


def right(subject: Subject) -> Subject:
    """With the labels that the network gives."""
    predicted = subject.logits.argmax(axis=1).astype(np.int32)
    return dataclasses.replace(subject, examples=Examples(subject.examples.images, predicted))


def test_figures_are_those_of_the_evaluation(subject: Subject) -> None:
    section = mistakes.analyze(subject)
    assert not any("no evidence" in said for said in section.lead)
    figures = check(section)
    expected = subject.evaluation.figures
    matrix = np.array(expected["confusion_matrix"])
    assert figures["mistakes"] == 60 - expected["correct"] == sum(p["count"] for p in figures["most_confused"])
    names = list(subject.run.class_names)
    for pair in figures["most_confused"]:
        assert pair["count"] == matrix[names.index(pair["label"]), names.index(pair["prediction"])]
    worst = figures["most_confused"][0]
    assert section.limits[0].startswith(
        f"It takes {worst['share']:.1%} of '{worst['label']}' for '{worst['prediction']}'"
    )
    losses = [each["loss"] for each in figures["top_losses"]]
    assert losses == sorted(losses, reverse=True)
    assert expected["loss"] < losses[0]
    worst = figures["top_losses"][0]
    row = int(worst["path"].removeprefix("images[").removesuffix("]"))
    assert worst["label"] == names[subject.examples.labels[row]]
    assert figures["weakest_classes"][0]["recall"] == min(of["recall"] for of in expected["per_class"])


def test_names_stay_text(subject: Subject) -> None:
    """HTML is escaped on the page; in pictures $...$ is no formula, which this one would be a wrong one of."""
    sections = {"features": features.analyze(subject), "embedding": embedding.analyze(subject),
                "mistakes": mistakes.analyze(subject)}  # fmt: skip
    for section in sections.values():
        check(section)
    about = {"run": "r", "model": "cnn", "image_shape": SHAPE, "classes": subject.run.class_names, "images": 60,
             "split": "test"}  # fmt: skip
    shown = page.render(about, sections)
    assert "<b>bold" not in shown
    assert "&lt;b&gt;bold" in shown


def test_a_split_without_mistakes(subject: Subject) -> None:
    all_right = right(subject)
    section = mistakes.analyze(all_right)
    figures = check(section)
    assert figures["mistakes"] == len(figures["most_confused"]) == 0
    assert section.lead[0] == "All of 60 images are right."
    assert not section.limits
    assert [picture.file.name for picture in section.pictures] == ["top_losses.png"]
    found = check(embedding.analyze(all_right))
    assert all(each["label"] == each["prediction"] for each in found["nearest"])


def test_own_training_images_are_no_evidence(subject: Subject) -> None:
    """Of their labels; and none of them is its own neighbour."""
    own = dataclasses.replace(subject, examples=subject.train, split="train")
    section = mistakes.analyze(own)
    assert check(section)["label_errors"]["trial"] is None
    assert any("no evidence" in said for said in section.lead)
    found = check(embedding.analyze(own))
    for each in found["nearest"]:
        assert each["image"] not in [other["image"] for other in each["neighbors"]]
        assert len(each["neighbors"]) == 6


def test_copies_of_training_images_are_told(subject: Subject) -> None:
    """The worst mistake is also a training image, with another name."""
    worst = int(subject.evaluation.mistakes[0])
    images = np.concatenate([subject.train.images, subject.examples.images[[worst]]])
    train = Examples(images, np.append(subject.train.labels, 0).astype(np.int32))
    section = embedding.analyze(dataclasses.replace(subject, train=train))
    found = check(section)["nearest"]
    assert [each["copy"] for each in found] == [True] + [False] * (len(found) - 1)
    assert found[0]["neighbors"][0]["image"] == "images[60]"
    assert any("perhaps a copy" in said for said in section.lead)


def test_training_images_that_are_gone(subject: Subject) -> None:
    section = embedding.analyze(dataclasses.replace(subject, train=None))
    assert "nearest" not in check(section)
    assert any("not there any more" in said for said in section.lead)


@pytest.mark.parametrize(
    ("count", "classes", "shape", "changes"),
    [
        (2, 2, (8, 8, 3), {}),
        (5, 5, (9, 12, 3), {"model__global_pool": "global_mean"}),
        (40, 1000, SHAPE, {}),
        (6, 2, SHAPE, {"model__name": "mlp"}),
    ],
)
def test_any_data(tmp_path: Path, count: int, classes: int, shape: Any, changes: Any) -> None:
    """Few images, one of a class, two classes and a thousand, gray and in color, without maps."""
    few = make_subject(tmp_path, random_examples(count, classes, shape), classes,
                       train=random_examples(3, classes, shape, 1), **changes)  # fmt: skip
    for part in (features, embedding, mistakes):
        check(part.analyze(few))
    for name in {"pca", "tsne"} if count >= 5 else ():
        assert (tmp_path / f"embedding_{name}.png").exists()


def test_large_training_sets_are_drawn_from(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as the bound allows, the same for a seed, and the text says so."""
    small = dataclasses.replace(subject, most=5)
    monkeypatch.setattr("cnn_jax.reports.nearest_images._PIXELS", 0)
    section = embedding.analyze(small)
    found = check(section)
    assert (found["training_images"], found["training_images_compared"]) == (60, 10)
    assert any("among 10 of 60 training images" in said for said in section.lead)
    assert check(embedding.analyze(dataclasses.replace(subject, most=5)))["nearest"] == found["nearest"]
