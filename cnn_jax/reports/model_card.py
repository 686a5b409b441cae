"""MODEL_CARD.md of a run: the metadata that the Hugging Face hub reads, then what people need to know.

Mitchell et al. 2019, "Model cards for model reporting"; the metadata are those of huggingface_hub's `ModelCardData`.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from cnn_jax.errors import shown
from cnn_jax.inference.run import Run
from cnn_jax.models.pretrained.catalog import WEIGHTS
from cnn_jax.reports.section import Section

_MANY = 30  # classes; more are counted, not listed


def model_card(
    run: Run,
    name: str,
    split: str,
    figures: Mapping[str, Any],
    sections: Mapping[str, Section],
    about: Mapping[str, Any],
) -> str:
    """The whole text.

    Args:
      run: the trained model.
      name: of the run.
      split: which `figures` are of.
      figures: of the evaluation, as `measure` has them.
      sections: parts of the report, whose `limits` are told.
      about: {"summary", "environment"}: what these files of the run hold, {} where there is none.
    """
    return f"---\n{_metadata(run, name, split, figures)}---\n\n" + "\n\n".join([
        f"# {_text(name)}",
        f"A `{run.config.model.name}` that tells {len(run.class_names):,} classes apart, trained with cnn_jax.",
        _use(run, name),
        _evaluation(figures, split),
        _limits(sections, split),
        _training(run, about),
        _classes(run.class_names),
    ]) + "\n"  # fmt: skip


def _metadata(run: Run, name: str, split: str, figures: Mapping[str, Any]) -> str:
    import yaml

    data = shown(str(run.resolved.get("data", "")))
    kinds = {"accuracy": "Accuracy", "balanced_accuracy": "Balanced accuracy", "loss": "Cross-entropy"}
    metrics = [{"type": kind, "value": figures[kind], "name": title} for kind, title in kinds.items()]
    metrics[0]["args"] = {"interval_95": list(figures["accuracy_interval_95"]), "images": figures["examples"]}
    result = {
        "task": {"type": "image-classification", "name": "Image classification"},
        "dataset": {"type": _slug(data), "name": data, "split": split},
        "metrics": metrics,
    }
    return yaml.safe_dump(
        {
            "library_name": "cnn_jax",
            "pipeline_tag": "image-classification",
            "tags": ["image-classification", "jax", "flax", "cnn_jax", run.config.model.name],
            "metrics": ["accuracy"],
            "model-index": [{"name": shown(name), "results": [result]}],
        },
        sort_keys=False,
        allow_unicode=True,
    )


def _use(run: Run, name: str) -> str:
    return (
        "## How to use it\n\n"
        "```python\n"
        "import cnn_jax\n\n"
        f"run = cnn_jax.load_run({str(run.workdir or name)!r})  # the run directory\n"
        'print(run.predict("photo.jpg"))\n'
        "```"
    )


def _evaluation(figures: Mapping[str, Any], split: str) -> str:
    low, high = figures["accuracy_interval_95"]
    return "\n".join([
        "## Evaluation",
        "",
        f"On the {figures['examples']:,} images of the {split} split:",
        "",
        "| figure | value |",
        "|---|---|",
        f"| accuracy | {figures['accuracy']:.2%} (95 % interval {low:.2%} to {high:.2%}) |",
        f"| balanced accuracy | {figures['balanced_accuracy']:.2%} |",
        f"| cross-entropy | {figures['loss']:.4f} |",
        f"| expected calibration error | {figures['expected_calibration_error']:.4f} |",
    ])  # fmt: skip


def _limits(sections: Mapping[str, Section], split: str) -> str:
    measured = [f"- {_text(sentence)}" for section in sections.values() for sentence in section.limits]
    return "\n".join([
        "## Limits, as measured",
        "",
        *(measured or [f"- No weakness was seen on the {split} split by the parts of the report that were made."]),
        "- It knows the classes below and no others: of anything else it names one of them.",
        "- Images from another camera, place or time were not measured, unless the data hold them.",
    ])  # fmt: skip


def _training(run: Run, about: Mapping[str, Any]) -> str:
    resolved, config, summary = run.resolved, run.config, about.get("summary", {})
    height, width, channels = run.image_shape
    counts = [
        f"{resolved[f'{part}_examples']:,} to {what}"
        for part, what in (("train", "train"), ("validation", "choose the weights by"), ("test", "test"))
        if resolved.get(f"{part}_examples")
    ]
    rows = [
        ("data", f"{_text(str(resolved.get('data', 'unknown')))}: {', '.join(counts)}"),
        ("images", f"{height} x {width} x {channels}, normalised: {run.normalization.name}"),
        (
            "network",
            f"{config.model.name}" + (f", {summary['parameters']:,} parameters" if "parameters" in summary else ""),
        ),
        ("first weights", _first_weights(config.init_from)),
        ("optimizer", f"{config.optimizer.name}, {config.schedule.name}, batch size {config.batch_size}"),
        ("epochs", f"{summary.get('epochs', config.num_epochs)}, the best weights are of epoch {summary['best_epoch']}")
        if summary.get("best_epoch") is not None
        else ("epochs", str(summary.get("epochs", config.num_epochs))),
        ("seed", str(config.seed)),
    ]
    if summary:
        devices = summary.get("devices", {})
        rows.append(
            ("time", f"{summary['wall_seconds']:,.0f} s on {devices.get('count', 1)} x {devices.get('kind', '?')}")
        )
    packages = about.get("environment", {}).get("packages", {})
    versions = ", ".join(f"{name} {packages[name]}" for name in ("cnn_jax", "jax", "flax", "optax") if name in packages)
    rows += [("versions", versions)] if versions else []
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    return f"## Training\n\n| | |\n|---|---|\n{table}"


def _first_weights(init_from: str | None) -> str:
    published = WEIGHTS.get(init_from or "")
    return _text(init_from or "random") + (f", licence {published.licence}" if published else "")


def _classes(names: Sequence[str]) -> str:
    listed = ", ".join(map(_text, names[:_MANY]))
    rest = f" and {len(names) - _MANY:,} more" if len(names) > _MANY else ""
    return f"## Classes\n\n{listed}{rest}"


def _text(words: str) -> str:
    """Words of others, which Markdown and HTML leave as they are."""
    return re.sub(r"([\\`*_\[\]<>|$&#])", r"\\\1", shown(words))


def _slug(words: str) -> str:
    return re.sub(r"[^\w.-]+", "-", words).strip("-").lower() or "data"
