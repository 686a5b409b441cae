"""The page of an audit: it runs no script and takes plain data."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from cnn_jax.pages.render import render_page

Key = tuple[str, int]  # a picture's split and index

_MAX_PICTURES, _MAX_GROUPS, _MAX_OF_A_GROUP = 36, 12, 4
_MAX_NAMES = 200
_SIGNS = {"error": "✕", "warning": "!", "note": "i"}
_BALANCED = 1.1  # the largest class over the smallest


def selection(finding: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The pictures of a finding that the page shows: the first ones; of groups some of each."""
    seen: dict[int, int] = defaultdict(int)
    chosen: list[dict[str, Any]] = []
    for picture in finding["pictures"]:
        group = picture.get("group")
        if group is not None:
            if (group not in seen and len(seen) >= _MAX_GROUPS) or seen[group] >= _MAX_OF_A_GROUP:
                continue
            seen[group] += 1
        elif len(chosen) >= _MAX_PICTURES:
            break
        chosen.append(picture)
    return chosen


def render(report: Mapping[str, Any], thumbnails: Mapping[Key, str], samples: Sequence[Key]) -> str:
    """The whole page.

    Args:
      report: what `audit.json` holds.
      thumbnails: data URIs of all pictures of the findings' `selection` and of the samples; "" where there is none.
      samples: some pictures of the set.
    """
    figures = report["statistics"]
    return render_page(
        "audit.html.j2",
        title=f"Audit of {report['data']}",
        report=report,
        signs=_SIGNS,
        unreadable=report["images"] - figures["readable"],
        findings=[_finding(finding, thumbnails) for finding in report["findings"]],
        samples=[thumbnails[key] for key in samples if thumbnails.get(key)],
        balance=_balance(report["classes"], figures["imbalance"]),
        classes=_classes(report["classes"]),
        compared=_compared(report.get("compared", {})),
        facts=[*_facts(figures), *_crop(report.get("cut_away"))],
        histograms=_histograms(figures),
    )


def _finding(finding: Mapping[str, Any], thumbnails: Mapping[Key, str]) -> dict[str, Any]:
    pictures, chosen = finding["pictures"], selection(finding)
    groups: dict[object, list[dict[str, Any]]] = defaultdict(list)
    without_thumbnail = []
    for i, picture in enumerate(chosen):
        uri = thumbnails.get((picture["split"], picture["index"]))
        if uri:
            groups[picture.get("group", f"alone {i}")].append({**picture, "uri": uri})
        else:
            without_thumbnail.append(_line(picture))
    names = [_line(picture) for picture in pictures[:_MAX_NAMES]]
    if len(pictures) > _MAX_NAMES:
        names.append(f"and {len(pictures) - _MAX_NAMES:,} more, in audit.json")
    return {
        **{name: finding[name] for name in ("level", "kind", "about", "why", "what_to_do")},
        "number": finding["count"],
        "unit": "image" if pictures else "case",
        "groups": len({picture["group"] for picture in pictures if "group" in picture}),
        "shown": len(chosen),
        "is_cut": 0 < len(chosen) < finding["count"],
        "names": names,
        "without_thumbnail": without_thumbnail,
        "groups_shown": [
            {"together": isinstance(group, int), "pictures": together} for group, together in groups.items()
        ],
    }


def _line(picture: Mapping[str, Any]) -> str:
    return f"{picture['name']} ({picture['class']}, {picture['split']}): {picture['detail']}"


def _classes(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The smallest first; `percent` is a class's training images over those of the largest."""
    most = max((row["images"].get("train", 0) for row in rows), default=0) or 1
    smallest_first = sorted(rows, key=lambda row: row["images"].get("train", 0))
    totals: dict[str, int] = defaultdict(int)
    for row in rows:
        for split, images in row["images"].items():
            totals[split] += images
    return [
        {
            **row,
            "percent": 100 * row["images"].get("train", 0) / most,
            "shares": {split: images / max(totals[split], 1) for split, images in row["images"].items()},
        }
        for row in smallest_first
    ]


def _compared(splits: Mapping[str, Mapping[str, float]]) -> list[dict[str, str]]:
    """A row of each split, where there are several."""
    if len(splits) < 2:
        return []
    return [
        {
            "split": split,
            "images": f"{figures['images']:,}",
            "size": f"{figures['size']:.0f}",
            "shape": f"{figures['shape']:.2f}",
            "brightness": f"{figures['brightness']:.0f}",
        }
        for split, figures in splits.items()
    ]


def _crop(cut: Mapping[str, float] | None) -> list[tuple[str, str]]:
    if cut is None:
        return []
    text = f"{cut['median']:.0%} of the area of half of the images or more, {cut['ninth_decile']:.0%} of one in ten"
    return [("cut away by data.resize=crop", text)]


def _balance(rows: Sequence[Mapping[str, Any]], ratio: float | None) -> str:
    if ratio is None or sum(row["images"].get("train", 0) > 0 for row in rows) < 2:
        return ""
    if ratio <= _BALANCED:
        return f"All have {'' if ratio == 1 else 'about '}the same number of training images."
    return f"The smallest first; the largest has {ratio:.3g} times as many training images."


def _facts(figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    facts = [
        ("formats", _tally(figures["formats"])),
        ("modes", _tally(figures["modes"])),
        ("gray", f"{figures['gray']:,}"),
    ]
    if set(figures["extensions"]) != {"none"}:  # the source is one of files
        facts += [("file extensions", _tally(figures["extensions"]))]
        facts += [("turned by EXIF", f"{figures['turned_by_exif']:,}")]
    if "mean" in figures:
        common = ", ".join(f"{size['width']} x {size['height']}: {size['images']:,}" for size in figures["sizes"])
        more = figures["different_sizes"] - len(figures["sizes"])
        facts += [
            ("sizes", common + (f", and {more:,} others" if more else "")),
            ("mean of each channel", ", ".join(f"{value:.4f}" for value in figures["mean"])),
            ("standard deviation", ", ".join(f"{value:.4f}" for value in figures["std"])),
        ]
    return facts


def _tally(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "none"


def _histograms(figures: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    if figures.get("different_sizes", 1) == 1:
        return []
    titles = {"width": "width in pixels", "height": "height in pixels", "aspect": "width / height"}
    return [(title, figures[key]) for key, title in titles.items()]
