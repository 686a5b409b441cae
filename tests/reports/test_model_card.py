"""MODEL_CARD.md: metadata that the hub reads, the figures of the evaluation, text that stays text."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml

from cnn_jax.inference import load_run
from cnn_jax.inference.evaluation import evaluate
from cnn_jax.inference.evaluation_data import load_split
from cnn_jax.reports.model_card import model_card
from cnn_jax.reports.section import Section

HOSTILE = "<img src=x>|`a`\n[b](c)"


@pytest.fixture(scope="module")
def figures(trained: Path) -> dict[str, Any]:
    run = load_run(trained)
    return evaluate(run, load_split(run, "test")).figures


def card(run: Any, figures: dict[str, Any], limits: tuple[str, ...] = ()) -> tuple[dict[str, Any], str]:
    text = model_card(run, "my run", "test", figures, {"a": Section("A", (), {}, limits=limits)}, {})
    _, metadata, body = text.split("---\n", 2)
    return yaml.safe_load(metadata), body


def test_metadata_are_those_of_the_hub(trained: Path, figures: dict[str, Any]) -> None:
    """The keys of huggingface_hub's `eval_results_to_model_index`; a type of data is a word of its own."""
    metadata, body = card(load_run(trained), figures)
    (model,) = metadata["model-index"]
    (result,) = model["results"]
    assert model["name"] == "my run"
    assert result["task"]["type"] == metadata["pipeline_tag"] == "image-classification"
    assert result["dataset"] == {"type": "digits", "name": "digits", "split": "test"}
    values = {metric["type"]: metric["value"] for metric in result["metrics"]}
    assert values == {name: figures[name] for name in ("accuracy", "balanced_accuracy", "loss")}
    assert f"{figures['accuracy']:.2%}" in body


def test_limits_are_those_of_the_parts(trained: Path, figures: dict[str, Any]) -> None:
    assert "- Shifted by 2 pixels it fails." in card(load_run(trained), figures, ("Shifted by 2 pixels it fails.",))[1]
    assert "No weakness was seen" in card(load_run(trained), figures)[1]


def test_names_of_classes_stay_text(trained: Path, figures: dict[str, Any]) -> None:
    run = dataclasses.replace(load_run(trained), class_names=(HOSTILE, "b"))
    _, body = card(run, figures)
    assert "<img" not in body.replace("\\<", "")
    assert "\\<img src=x\\>\\|\\`a\\`" in body
