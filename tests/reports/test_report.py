"""`analyze`: a run, a page and its figures."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from cnn_jax.data import Examples
from cnn_jax.inference.evaluation import assess, judge
from cnn_jax.reports import subject
from cnn_jax.reports.figures import reliability
from cnn_jax.reports.parts import PARTS
from cnn_jax.reports.report import analyze
from cnn_jax.reports.subject import draw_sample
from tests.support.helpers import refusal


def test_report_says_what_evaluate_says(trained: Path, tmp_path: Path) -> None:
    trained_run = tmp_path / "run"
    shutil.copytree(trained, trained_run)
    assessment = assess(trained_run)
    report = analyze(trained_run, ["figures"])
    assert [file.name for file in report.files] == ["report_figures.json", "report_figures.html"]
    page = report.files[1].read_text()
    figures = json.loads(report.files[0].read_text())["parts"]["figures"]
    own = {"mean_confidence", "reliability"}
    kept = {name: value for name, value in assessment.figures.items() if name in figures}
    assert {name: value for name, value in figures.items() if name not in own} == kept
    assert figures["accuracy"] == report.sections["figures"].figures["accuracy"]
    embedded = json.loads(page.split('id="data">')[1].split("</script>")[0])
    assert embedded["parts"]["figures"] == figures
    assert "http" not in page.replace("http-equiv", "")


def test_parts_share_one_evaluation(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it that they show is in the page and in the JSON."""
    trained_run, calls = tmp_path / "run", []
    shutil.copytree(trained, trained_run)
    monkeypatch.setattr(subject, "judge", lambda *arguments: calls.append(1) or judge(*arguments))
    report = analyze(trained_run, ["figures", "features", "mistakes"], most=20)
    assert len(calls) == 1
    figures = json.loads(report.files[0].read_text())["parts"]
    assert list(figures) == ["figures", "features", "mistakes"]
    assert figures["mistakes"]["mistakes"] == figures["figures"]["examples"] - figures["figures"]["correct"]
    pictures = [picture.file for section in report.sections.values() for picture in section.pictures]
    assert all(file.parent == trained_run / "plots" and file.exists() for file in pictures)
    page = report.files[1].read_text()
    assert page.count("data:image/") == len(pictures) >= 4


def test_unknown_part_is_one_line(trained: Path) -> None:
    assert "there is no part of this name (did you mean 'figures'?)" in refusal(analyze, trained, ["figure"])


def test_unfinished_run_is_one_line(tmp_path: Path) -> None:
    assert refusal(analyze, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("most", [3, 10, 1000])
def test_sample_takes_classes_by_turns(most: int) -> None:
    labels = np.array([0] * 50 + [1] * 2 + [2] * 30, np.int32)
    examples = Examples(np.arange(82, dtype=np.uint8).reshape(82, 1, 1, 1), labels)
    sample = draw_sample(examples, most, 0)
    counts = {3: [1, 1, 1], 10: [4, 2, 4], 1000: [50, 2, 30]}[most]
    assert np.bincount(sample.labels).tolist() == counts
    assert (np.diff(sample.images.reshape(-1).astype(int)) > 0).all()


def test_reliability_by_hand() -> None:
    rows = reliability(np.array([0.05, 0.95, 0.92, 0.91, 1.0]), np.array([True, True, False, True, True]))
    assert [(row["images"], row["accuracy"]) for row in rows] == [(1, 1.0), (4, 0.75)]
    np.testing.assert_allclose([row["confidence"] for row in rows], [0.05, 0.945])


def test_invariance_says_what_moves(trained: Path, tmp_path: Path) -> None:
    """Every figure is a finite number of the right kind; the sentence names a layer that is there."""
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    report = analyze(run, ["invariance"], most=60)
    section, figures = report.sections["invariance"], json.loads(report.files[0].read_text())["parts"]["invariance"]
    plain = {row["amount"]: row for row in figures["rotations"]}[0]
    assert plain["top1_change"]["value"] == 0
    assert plain["accuracy"] == figures["shifts"]["zero"][0]["accuracy"] == figures["scales"][3]["accuracy"]
    names = [row["name"] for row in figures["equivariance"]["layers"]]
    assert figures["equivariance"]["first"] == "block1/conv1"
    assert names[-1] == "head/logits"
    assert "block1/conv1" in section.lead[-1]
    worst = figures["scales"][0]["accuracy"]
    is_worse = worst["high"] < plain["accuracy"]["low"]
    assert any(f"{worst['value']:.1%}" in limit for limit in section.limits) == is_worse
    assert {picture.file.name for picture in section.pictures} == {
        "invariance.png", "invariance_views.png", "invariance_layers.png"
    }  # fmt: skip
    assert all(picture.file.is_file() for picture in section.pictures)


@pytest.mark.slow
def test_the_whole_report_and_its_card(trained: Path, tmp_path: Path) -> None:
    """The card tells every limit that a part measured, and the accuracy; one part alone leaves all of it as it is."""
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    report = analyze(run, most=40)
    assert [file.name for file in report.files] == ["report.json", "report.html", "MODEL_CARD.md"]
    assert list(report.sections) == list(PARTS)
    card = report.files[2].read_text()
    limits = [limit for section in report.sections.values() for limit in section.limits]
    assert len(limits) > 3
    assert all(limit.split("'")[0] in card for limit in limits)
    assert f"{report.sections['figures'].figures['accuracy']:.2%}" in card
    before = [file.read_bytes() for file in report.files]
    analyze(run, ["figures"])
    assert [file.read_bytes() for file in report.files] == before
