"""The audit of a data set: every picture is looked at once, and what may spoil a model is listed and shown."""

import dataclasses
import functools
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ml_collections
import numpy as np

from cnn_jax.audit.checks import LEVELS
from cnn_jax.audit.compared import compare_splits, crop_finding, cut_away, split_findings
from cnn_jax.audit.findings import Finding, find_all, in_order
from cnn_jax.audit.judging import judge
from cnn_jax.audit.masks import mask_finding
from cnn_jax.audit.pictures import read_again, thumbnail
from cnn_jax.audit.quality import Entry, measure_all
from cnn_jax.audit.series import series_findings
from cnn_jax.audit.set_statistics import class_table, statistics
from cnn_jax.cli.progress import progress_bar
from cnn_jax.config.tree import override
from cnn_jax.data import ImageDataset, Source, load_source
from cnn_jax.data.reading.images import quiet
from cnn_jax.errors import InputError, shown
from cnn_jax.inference.run import Run
from cnn_jax.pages import audit as audit_page
from cnn_jax.runtime.folders import make_folder, remove_empty, whole_file

# Pictures are listed and measured at their own size; what the network takes is settled, where a config leaves it open,
# so that pictures of many sizes are no obstacle.
_ANY_SIZE, _ANY_CHANNELS = (64, 64), 3
_SAMPLES = 24


@dataclasses.dataclass(frozen=True)
class Audit:
    """`report` is what `audit.json` holds; `page` and `json` are the files that were written."""

    report: dict[str, Any]
    page: Path
    json: Path

    def counts(self) -> dict[str, tuple[int, int]]:
        """{level: (kinds of findings, pictures or classes concerned)}."""
        found = self.report["findings"]
        return {
            level: (
                sum(finding["level"] == level for finding in found),
                sum(finding["count"] for finding in found if finding["level"] == level),
            )
            for level in LEVELS
        }


def audit(
    config: ml_collections.ConfigDict, output: str | Path | None = None, run: Run | None = None, folds: int = 0
) -> Audit:
    """Looks at every picture of a config's data; writes `audit.html` and `audit.json`.

    Args:
      config: its `data` block says where the pictures are.
      output: a folder, made where it is missing; None: audit/NAME below the working directory.
      run: a trained model, which adds outliers, the difficulty of each class and, without folds, its opinion of labels.
      folds: of the cross-validation that looks for wrong labels; 0: none.

    Raises:
      InputError: there are no data, the model was trained on other classes, there are too few pictures for folds, or
        the report cannot be written.
    """
    source = load_source(_for_any_picture(config).data)
    if run is not None and run.class_names != source.class_names:
        theirs, ours = ", ".join(source.class_names[:5]), ", ".join(run.class_names[:5])
        raise InputError(f"{source.name} has other classes ({theirs}, ...) than the model was trained on ({ours}, ...)")
    with quiet():
        entries = _measure(source)
        found = find_all(entries, source.class_names, functools.partial(read_again, source.splits, entries))
        lacks = {"folder": "its folder holds no image", "csv": f"no row of {source.name} can be used"}
        of_class = lacks.get(config.data.source, f"no image of {source.name} can be used")
        listed = [Finding("class without images", about=tuple(f"{name}: {of_class}" for name in source.empty))]
        listed.append(Finding("rows of the manifest", about=source.skipped))
        series = series_findings(entries, source.groups, config.data.source == "folder")
        listed += [*split_findings(entries, source.class_names), crop_finding(cut_away(entries, config.data))]
        found = in_order([*found, *listed, *series, mask_finding(entries, source.splits)])
        opinion = judge(source, entries, found, config, run, folds)
        report = _report(source, entries, in_order([*found, *opinion.findings]), _root(config)) | opinion.report
        report |= {"compared": compare_splits(entries), "cut_away": cut_away(entries, config.data)}
        samples = [entries[row] for row in np.unique(np.linspace(0, len(entries) - 1, _SAMPLES).astype(int))]
        keys = {(picture["split"], picture["index"]) for finding in report["findings"]
                for picture in audit_page.selection(finding)}  # fmt: skip
        keys |= {(entry.split, entry.index) for entry in samples}
        thumbnails = {(split, index): thumbnail(source.splits[split], index) for split, index in sorted(keys)}
    page = audit_page.render(report, thumbnails, [(entry.split, entry.index) for entry in samples])
    return _write(Path(output or Path("audit") / _as_folder(source.name)), report, page)


def _for_any_picture(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
    if config.data.source not in ("folder", "csv", "tfds"):
        return config
    changes: list[tuple[str, Any]] = [("data.on_error", "skip")]
    changes += [("data.image_size", config.data.image_size or _ANY_SIZE)]
    changes += [("data.channels", config.data.channels or _ANY_CHANNELS)]
    return override(config, changes)


def _in_order(source: Source) -> dict[str, ImageDataset]:
    return {split: source.splits[split] for split in ("train", "validation", "test") if split in source.splits}


def _measure(source: Source) -> list[Entry]:
    entries: list[Entry] = []
    for split, pictures in _in_order(source).items():
        with progress_bar(len(pictures), f"looking at {source.name} {split}", "image") as bar:
            for part in measure_all(split, pictures):
                entries += part
                bar.update(len(part))
    if not entries:
        raise InputError(f"{source.name}: it holds no pictures")
    return entries


def _report(
    source: Source,
    entries: Sequence[Entry],
    found: Sequence[Finding],
    root: str,
) -> dict[str, Any]:
    def class_name(label: int) -> str:
        return source.class_names[label] if 0 <= label < len(source.class_names) else f"label {label}"

    def picture(row: int, detail: str, group: int | None) -> dict[str, Any]:
        entry = entries[row]
        place = {"name": entry.name.removeprefix(root), "split": entry.split, "index": entry.index}
        grouped = {} if group is None else {"group": group}
        return place | {"class": class_name(entry.label), "detail": detail} | grouped

    return {
        "data": source.name,
        "images": len(entries),
        "splits": {split: len(pictures) for split, pictures in _in_order(source).items()},
        "classes": class_table(entries, source.class_names),
        "statistics": statistics(entries, source.class_names),
        "findings": [
            {
                "level": finding.of.level, "kind": finding.kind, "count": finding.count,
                "pictures": [picture(*suspect) for suspect in finding.suspects], "about": list(finding.about),
                "why": finding.of.why, "what_to_do": finding.of.what_to_do,
            }
            for finding in found
        ],
    }  # fmt: skip


def _root(config: ml_collections.ConfigDict) -> str:
    """What all names of files begin with, and a report may leave out."""
    if config.data.source not in ("folder", "csv"):
        return ""
    path = os.path.abspath(os.path.expanduser(config.data.dir))
    if config.data.source == "csv":
        images = config.data.images_dir
        path = os.path.dirname(path) if images is None else os.path.abspath(os.path.expanduser(images))
    return shown(os.path.join(path, ""))


def _as_folder(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name).strip(".") or "data"


def _write(folder: Path, report: dict[str, Any], page: str) -> Audit:
    made: list[Path] = []
    try:
        made = make_folder(folder)
        for name, text in (("audit.json", json.dumps(report, indent=2) + "\n"), ("audit.html", page)):
            with whole_file(folder / name) as file:
                file.write(text)
    except OSError as error:
        remove_empty(made)
        raise InputError(f"{folder}: the audit cannot be written there ({error.strerror})") from error
    return Audit(report, folder / "audit.html", folder / "audit.json")
