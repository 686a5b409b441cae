"""The report of a run: all parts, or some, in one page, with every figure as JSON beside it."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnn_jax.cli.progress import announce, progress_bar
from cnn_jax.data import Split
from cnn_jax.errors import InputError, shown
from cnn_jax.inference.evaluation_data import load_evaluation_data, load_split
from cnn_jax.inference.run import Run, load_run
from cnn_jax.pages import report as page
from cnn_jax.reports.model_card import model_card
from cnn_jax.reports.parts import PARTS, choose, load
from cnn_jax.reports.section import Section
from cnn_jax.reports.subject import Subject
from cnn_jax.runs.directory import read_run_file
from cnn_jax.runtime.folders import make_folder, remove_empty, whole_file


@dataclasses.dataclass(frozen=True)
class Report:
    """The sections by name, and the files that were written."""

    sections: dict[str, Section]
    files: tuple[Path, ...]


def analyze(
    workdir: str | Path,
    only: Sequence[str] = (),
    split: str = "test",
    data_dir: str | None = None,
    most: int = 500,
    seed: int = 0,
) -> Report:
    """Looks into a run; writes report.html, report.json and MODEL_CARD.md into its directory, pictures into plots/.

    Args:
      workdir: a run directory.
      only: names of parts, which go into `report_NAME.html` and `.json`, without a card; all without names.
      split, data_dir: as in `evaluation.assess`: which images it is shown.
      most: how many of them the costly parts take.
      seed: of what is drawn.

    Raises:
      InputError: no such run, part or split, or the report cannot be written.
    """
    workdir, names = Path(workdir), choose(only)
    run = load_run(workdir)
    if not (workdir / "summary.json").exists():
        announce(f"{workdir}: this run is not finished; its best weights so far are looked at")
    chosen = load_evaluation_data(run, split, data_dir)
    progress = _Progress()
    # One subject for all parts: what one of them has computed, the others take as it is.
    subject = Subject(
        run, chosen.examples, chosen.split, _training_images(run), workdir / "plots", most, seed, progress.advance
    )
    made = _make_folder(subject.folder)
    try:
        sections = _analyze_all(subject, names, progress)
        return Report(sections, _write(workdir, subject, sections, only))
    except OSError as error:
        raise InputError(f"{workdir}: the report cannot be written there ({error.strerror})") from error
    finally:
        remove_empty(made)


@dataclasses.dataclass
class _Progress:
    """Of the part that is being made: `weight` is what it counts on the bar."""

    bar: Any = None
    weight: float = 0.0

    def advance(self, share: float) -> None:
        self.bar.update(round(self.weight * share))


def _analyze_all(subject: Subject, names: Sequence[str], progress: _Progress) -> dict[str, Section]:
    sections: dict[str, Section] = {}
    with progress_bar(sum(round(100 * PARTS[name].weight) for name in names), "analyzing", "") as bar:
        progress.bar = bar
        for name in names:
            bar.set_postfix(part=name)
            progress.weight = 100 * PARTS[name].weight
            section = load(name)(subject)
            if section is not None:
                sections[name] = section
    return sections


def _training_images(run: Run) -> Split | None:
    """None where they are gone or have changed: the parts that need them say so."""
    try:
        return load_split(run, "train")
    except InputError:
        return None


def _make_folder(folder: Path) -> list[Path]:
    try:
        return make_folder(folder)
    except OSError as error:
        raise InputError(f"{folder}: pictures cannot be written there ({error.strerror})") from error


def _write(workdir: Path, subject: Subject, sections: dict[str, Section], only: Sequence[str]) -> tuple[Path, ...]:
    """Parts go into files of their own: the whole report, and the card that is drawn from it, stay as they are."""
    name = shown(workdir.resolve().name)
    figures = {part: dict(section.figures) for part, section in sections.items()}
    about = {
        "run": name,
        "split": subject.split,
        "images": len(subject.examples),
        "sampled": len(subject.sample),
        "seed": subject.seed,
        "model": subject.run.config.model.name,
        "image_shape": list(subject.run.image_shape),
        "classes": list(subject.run.class_names),
    }
    stem = "_".join(["report", *(choose(only) if only else ())])
    texts = {
        f"{stem}.json": json.dumps(about | {"parts": figures}, indent=2, allow_nan=False) + "\n",
        f"{stem}.html": page.render(about, sections),
    }
    if not only:
        texts["MODEL_CARD.md"] = _card(workdir, subject, sections)
    for file, text in texts.items():
        with whole_file(workdir / file) as stream:
            stream.write(text)
    return tuple(workdir / file for file in texts)


def _card(workdir: Path, subject: Subject, sections: Mapping[str, Section]) -> str:
    about = {name: read_run_file(workdir, f"{name}.json") for name in ("summary", "environment")
             if (workdir / f"{name}.json").is_file()}  # fmt: skip
    name = workdir.resolve().name
    return model_card(subject.run, name, subject.split, subject.evaluation.figures, sections, about)
