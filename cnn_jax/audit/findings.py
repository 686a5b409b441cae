"""What is wrong with a set of pictures, from the records of all of them."""

import dataclasses
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from cnn_jax.audit.checks import KINDS, Kind
from cnn_jax.audit.duplicates import Group, SecondLook, exact_groups, near_groups
from cnn_jax.audit.quality import Entry, Record
from cnn_jax.data.reading.levels import NARROW

# Luma 0..255: the brightest hundredth of a very dark picture, the darkest of a very bright one. Digits on black are
# not dark, nor is a product on white bright: something in them stands out.
_DARK, _BRIGHT = 50, 200
# `quality.sharpness`: photographs of ImageNet have 150 and more; blurred by 2 pixels of 256, 10 to 60. What is as sharp
# as the others is not blurred, but of a soft kind: portraits, clouds, X-rays.
_BLURRED, _OF_THE_MEDIAN = 40, 0.25
_TINY, _EXTREME_ASPECT = 32, 4.0
_IMBALANCE, _FEW = 10, 20
_EIGHT_BIT_MODES = ("1", "L", "P", "RGB", "RGBA", "LA", "PA", "RGBX", "La", "RGBa")


class Suspect(NamedTuple):
    """A picture that a finding is about.

    Attributes:
      row: of its entry.
      detail: what is particular about it.
      group: pictures of one number belong together.
    """

    row: int
    detail: str = ""
    group: int | None = None


@dataclasses.dataclass(frozen=True)
class Finding:
    """One kind of fault, and all that it was found in.

    Attributes:
      kind: a key of `KINDS`.
      suspects: the pictures.
      about: a line for each class, where it is not about pictures.
    """

    kind: str
    suspects: tuple[Suspect, ...] = ()
    about: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise KeyError(f"no kind of finding is called {self.kind!r}")

    @property
    def of(self) -> Kind:
        return KINDS[self.kind]

    @property
    def count(self) -> int:
        return len(self.suspects) or len(self.about)


def find_all(entries: Sequence[Entry], class_names: Sequence[str], second_look: SecondLook) -> list[Finding]:
    """All findings that need no model; the gravest first, in the order of `KINDS`."""
    duplicates = duplicate_findings(entries, second_look)
    found = [*picture_findings(entries), *duplicates, *class_findings(entries, class_names)]
    return in_order(found)


def in_order(found: Sequence[Finding]) -> list[Finding]:
    """Without those that found nothing; in the order of `KINDS`."""
    order = list(KINDS)
    return sorted((finding for finding in found if finding.count), key=lambda finding: order.index(finding.kind))


def picture_findings(entries: Sequence[Entry]) -> list[Finding]:
    """What each picture shows by itself, or beside the size and color of the others."""
    faults = ("empty file", "not an image", "truncated", "unreadable", "unknown range", "decompression bomb")
    found = [_where(entries, kind, lambda entry, kind=kind: _fault(entry.record, kind)) for kind in faults]  # type: ignore[misc]
    sides = [min(entry.record.height, entry.record.width) for entry in entries if not entry.record.fault]
    # What is small beside the others; a set may be of small pictures altogether.
    tiny = min(_TINY, float(np.median(sides)) / 2) if sides else 0
    rarer = _rarer_sort(entries)
    sharp = [entry.record.sharpness for entry in entries if not np.isnan(entry.record.sharpness)]
    blurred = min(_BLURRED, _OF_THE_MEDIAN * float(np.median(sharp))) if sharp else 0
    rules: dict[str, Callable[[Record], str | None]] = {
        "damaged": lambda record: record.complaint or None,
        "blank picture": lambda record: "one color" if record.blank and not record.hidden else None,
        "blank as it is read": lambda record: record.hidden or None,
        "narrow range": lambda record: _line(
            not record.blank and record.range_used < NARROW, f"uses {record.range_used:.0%} of its range"
        ),
        "very dark": lambda record: _line(_light(record) == "dark", f"99 % of it below {record.bright + 1:.0f} of 255"),
        "very bright": lambda record: _line(
            _light(record) == "bright", f"99 % of it above {record.dark - 1:.0f} of 255"
        ),
        "very blurred": lambda record: _line(
            _light(record) == "good" and record.sharpness < blurred, f"sharpness {record.sharpness:.0f}"
        ),
        "tiny picture": lambda record: _line(min(record.height, record.width) < tiny, _size(record)),
        "extreme aspect ratio": lambda record: _line(_aspect(record) >= _EXTREME_ASPECT, _size(record)),
        "unusual mode": lambda record: _line(_is_unusual(record.mode), record.mode),
        "transparency": lambda record: _line(record.transparent, record.mode),
        "animated": lambda record: _line(record.frames > 1, f"{record.frames} frames"),
        "turned by EXIF": lambda record: _line(record.orientation != 1, f"orientation {record.orientation}"),
        "gray and color mixed": lambda record: _line(
            not record.blank and record.colored is rarer, "color" if record.colored else "gray"
        ),
    }
    for kind, rule in rules.items():
        found.append(_where(entries, kind, lambda entry, rule=rule: _judged(entry.record, rule)))  # type: ignore[misc]
    found.append(_where(entries, "wrong extension", _wrong_extension))
    return found


def duplicate_findings(entries: Sequence[Entry], second_look: SecondLook) -> list[Finding]:
    """Groups of copies, by what is worst about them; copies with two labels in two splits are found as both.

    Args:
      entries: of the whole set.
      second_look: see `near_groups`.
    """
    exact = exact_groups(entries)
    found = []
    for near, groups in ((False, exact), (True, near_groups(entries, exact, second_look))):
        prefix = "near duplicates" if near else "duplicates"
        labels = [len({entries[row].label for row in group.rows}) for group in groups]
        splits = [len({entries[row].split for row in group.rows}) for group in groups]
        for kind, concerned in (
            (f"{prefix} with different labels", np.array(labels) > 1),
            (f"{prefix} across splits", np.array(splits) > 1),
            (prefix, (np.array(labels) == 1) & (np.array(splits) == 1)),
        ):
            found.append(_grouped(kind, [groups[i] for i in np.flatnonzero(concerned)], entries))
    return found


def class_findings(entries: Sequence[Entry], class_names: Sequence[str]) -> list[Finding]:
    """What the numbers of pictures show; those that cannot be read count, as they may be mended."""
    counts = count_classes(entries, len(class_names))
    train = counts["train"]
    there = train[train > 0]
    imbalance = []
    if len(there) and there.max() > _IMBALANCE * there.min():
        most, least = int(train.argmax()), int(np.where(train > 0, train, train.max()).argmin())
        imbalance = [
            f"{class_names[most]}: {train[most]:,} images in train, {class_names[least]}: {train[least]:,} "
            f"({train[most] / train[least]:.0f} to 1)"
        ]
    few = [f"{name}: {count} in train" for name, count in zip(class_names, train, strict=True) if 0 < count < _FEW]
    missing = [
        f"{name}: none in {split}"
        for split, of_split in counts.items()
        for name, count in zip(class_names, of_split, strict=True)
        if count == 0
    ]
    alike: dict[str, list[str]] = {}
    for name in class_names:
        alike.setdefault(re.sub(r"\s+", "", unicodedata.normalize("NFKC", name)).casefold(), []).append(name)
    pairs = [" and ".join(f"“{name}”" for name in names) for names in alike.values() if len(names) > 1]
    wrong = [
        Suspect(row, f"label {entry.label}")
        for row, entry in enumerate(entries)
        if not 0 <= entry.label < len(class_names)
    ]
    return [
        Finding("label out of range", tuple(wrong)), Finding("class imbalance", about=tuple(imbalance)),
        Finding("few images", about=tuple(few)), Finding("class missing from a split", about=tuple(missing)),
        Finding("class names alike", about=tuple(pairs)),
    ]  # fmt: skip


def count_classes(entries: Sequence[Entry], classes: int) -> dict[str, np.ndarray]:
    """{split: int64 [K]}; labels outside 0..K-1 are left out."""
    labels: dict[str, list[int]] = {"train": []}
    for entry in entries:
        labels.setdefault(entry.split, []).append(entry.label)
    return {
        split: np.bincount([label for label in of_split if 0 <= label < classes], minlength=classes)
        for split, of_split in labels.items()
    }


def _where(entries: Sequence[Entry], kind: str, rule: Callable[[Entry], str | None]) -> Finding:
    details = ((row, rule(entry)) for row, entry in enumerate(entries))
    return Finding(kind, tuple(Suspect(row, detail) for row, detail in details if detail is not None))


def _fault(record: Record, kind: str) -> str | None:
    return record.reason if record.fault == kind else None


def _judged(record: Record, rule: Callable[[Record], str | None]) -> str | None:
    return None if record.fault else rule(record)


def _line(holds: bool, detail: str) -> str | None:
    return detail if holds else None


def _light(record: Record) -> str:
    """'blank', 'dark', 'bright' or 'good': the worst exposure problem, so that each image is reported once."""
    if record.blank:
        return "blank"
    if record.bright < _DARK:
        return "dark"
    return "bright" if record.dark > _BRIGHT else "good"


def _rarer_sort(entries: Sequence[Entry]) -> bool | None:
    """Whether fewer pictures have color than have none; None where all are of one sort."""
    colored = [entry.record.colored for entry in entries if not entry.record.fault and not entry.record.blank]
    if len(set(colored)) < 2:
        return None
    return sum(colored) < len(colored) / 2


def _size(record: Record) -> str:
    return f"{record.width} x {record.height}"


def _aspect(record: Record) -> float:
    return max(record.height, record.width) / max(min(record.height, record.width), 1)


def _is_unusual(mode: str) -> bool:
    return mode not in _EIGHT_BIT_MODES


def _wrong_extension(entry: Entry) -> str | None:
    """Only where the extension means another format; a file may do without one."""
    from PIL import Image

    meant = Image.registered_extensions().get(entry.extension)
    found = {"MPO": "JPEG"}.get(entry.record.format, entry.record.format)
    if entry.record.fault or meant is None or meant == found or {meant, found} <= {"JPEG", "MPO"}:
        return None
    return f"{entry.extension}, but {found}"


def _grouped(kind: str, groups: Sequence[Group], entries: Sequence[Entry]) -> Finding:
    """The groups in their order: of near duplicates the surest first. In each the rarest label stands first."""
    suspects = []
    for number, group in enumerate(groups):
        counts = Counter(entries[row].label for row in group.rows)
        for row in sorted(group.rows, key=lambda row: counts[entries[row].label]):
            count, detail = counts[entries[row].label], _likeness(kind, group)
            if count < max(counts.values()):
                detail += f"; only {count} of {len(group.rows)} with this label"
            suspects.append(Suspect(row, detail, number))
    return Finding(kind, tuple(suspects))


def _likeness(kind: str, group: Group) -> str:
    if not kind.startswith("near"):
        return "same pixels"
    return f"{group.likeness:.0%} of its parts agree" if group.looked else f"correlation {group.likeness:.3f}"
