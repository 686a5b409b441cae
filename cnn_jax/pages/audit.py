"""The page of an audit: one HTML file that needs no network and runs no script. It takes plain data."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from cnn_jax.errors import shown

Key = tuple[str, int]  # a picture's split and index

_PICTURES, _GROUPS, _OF_A_GROUP = 36, 12, 4
_NAMED = 200
_ROWS_SHOWN = 40
_SIGNS = {"error": "✕", "warning": "!", "note": "i"}

STYLE = """
:root { color-scheme: light dark; --ink: #1c2127; --dim: #5d6772; --paper: #fff; --card: #f5f6f8; --line: #dde1e6;
  --bar: #4a78b5; --error: #b3261e; --warning: #8a5a00; --note: #2b5c94; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e7ea; --dim: #9aa4af; --paper: #14171a; --card: #1e2327;
  --line: #353c43; --bar: #6d9bd6; --error: #ff8a80; --warning: #f2bd5c; --note: #8ab8ee; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 70rem; padding: 1rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; margin: .5rem 0; } h2 { font-size: 1.2rem; margin: 2rem 0 .6rem; }
h3 { font-size: 1.05rem; margin: 0; } p { margin: .3rem 0; } a { color: inherit; }
.dim, figcaption { color: var(--dim); } .plain { list-style: none; padding: 0; }
.error { color: var(--error); } .warning { color: var(--warning); } .note { color: var(--note); }
.levels { display: flex; gap: .6rem; flex-wrap: wrap; }
.levels > div, .card { background: var(--card); border: 1px solid var(--line); border-radius: .5rem;
  padding: .7rem 1rem; }
.levels b { font-size: 1.4rem; } .card { margin: .8rem 0; border-left: .3rem solid currentColor; }
.card > * { color: var(--ink); } .card > h3 { color: inherit; } .card > .dim { color: var(--dim); }
.pictures { display: flex; flex-wrap: wrap; gap: .6rem; margin-top: .6rem; }
.group { display: flex; flex-wrap: wrap; gap: .6rem; border: 1px solid var(--line); border-radius: .4rem;
  padding: .4rem; background: var(--paper); }
figure { margin: 0; width: clamp(5.5rem, 25vw, 7.5rem); } figcaption { font-size: .75rem; line-height: 1.3; }
figure img { width: 100%; aspect-ratio: 1; object-fit: contain; background: var(--line); display: block;
  border-radius: .25rem; } img.small { image-rendering: pixelated; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .15rem .6rem .15rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th.n, td.n { text-align: right; white-space: nowrap; } td.bar { width: 40%; min-width: 6rem; }
td.bar div { background: var(--bar); height: .8rem; border-radius: .15rem; min-width: 1px; margin-top: .3rem; }
.figures td:first-child { white-space: nowrap; }
.charts { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)); }
svg { width: 100%; height: auto; display: block; } svg rect { fill: var(--bar); }
svg text { fill: var(--dim); font: 11px system-ui, sans-serif; }
summary { cursor: pointer; } .names { font-size: .85rem; columns: 20rem; padding-left: 1.2rem; }
"""


def selection(finding: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The pictures of a finding that the page shows: the first ones; of groups some of each."""
    seen: dict[int, int] = defaultdict(int)
    chosen: list[dict[str, Any]] = []
    for picture in finding["pictures"]:
        group = picture.get("group")
        if group is not None:
            if (group not in seen and len(seen) >= _GROUPS) or seen[group] >= _OF_A_GROUP:
                continue
            seen[group] += 1
        elif len(chosen) >= _PICTURES:
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
    title = f"Audit of {_text(report['data'])}"
    parts = [
        f"<h1>{title}</h1>", _summary(report), _findings(report["findings"], thumbnails),
        _samples(samples, thumbnails), _classes(report), _difficulty(report.get("difficulty")),
        _figures(report["statistics"]),
    ]  # fmt: skip
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}</style></head>\n<body>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def _text(value: object) -> str:
    """Text for HTML; names may hold anything."""
    return escape(shown(str(value)))


def _summary(report: Mapping[str, Any]) -> str:
    splits = ", ".join(f"{_text(split)} {count:,}" for split, count in report["splits"].items())
    boxes = []
    for level in _SIGNS:
        kinds = [finding for finding in report["findings"] if finding["level"] == level]
        links = "".join(
            f'<li><a href="#{_anchor(f["kind"])}">{_text(f["kind"])}</a>: {f["count"]:,}</li>' for f in kinds
        )
        boxes.append(
            f'<div><span class="{level}"><b>{len(kinds)}</b> {level if len(kinds) == 1 else level + "s"}</span>'
            f'<ul class="plain">{links}</ul></div>'
        )
    readable = report["statistics"]["readable"]
    broken = "" if readable == report["images"] else f", {report['images'] - readable:,} of them cannot be read"
    return (
        f"<p>{report['images']:,} images of {len(report['classes']):,} classes ({splits}){broken}.</p>"
        f'<div class="levels">{"".join(boxes)}</div>'
    )


def _findings(findings: Sequence[Mapping[str, Any]], thumbnails: Mapping[Key, str]) -> str:
    if not findings:
        return "<h2>Findings</h2><p>None.</p>"
    return "<h2>Findings</h2>" + "".join(_finding(finding, thumbnails) for finding in findings)


def _finding(finding: Mapping[str, Any], thumbnails: Mapping[Key, str]) -> str:
    chosen, count = selection(finding), finding["count"]
    unit = ("image" if finding["pictures"] else "case") + ("" if count == 1 else "s")
    groups = len({picture["group"] for picture in finding["pictures"] if "group" in picture})
    of_groups = f" in {groups:,} group{'' if groups == 1 else 's'}" if groups else ""
    more = f", {len(chosen)} shown" if finding["pictures"] and len(chosen) < count else ""
    names = [_named(picture) for picture in finding["pictures"]]
    rest = f"<li>and {len(names) - _NAMED:,} more, in audit.json</li>" if len(names) > _NAMED else ""
    listed = "".join(f"<li>{_text(name)}</li>" for name in names[:_NAMED]) + rest
    details = f'<details><summary>All names</summary><ul class="names">{listed}</ul></details>' if more else ""
    about = "".join(f"<li>{_text(line)}</li>" for line in finding["about"])
    if len(finding["about"]) > _ROWS_SHOWN:
        about = f'<details><summary>All of them</summary><ul class="names">{about}</ul></details>'
    elif about:
        about = f'<ul class="names">{about}</ul>'
    level = finding["level"]
    return (
        f'<section class="card {level}" id="{_anchor(finding["kind"])}">'
        f"<h3>{_SIGNS[level]} {_text(finding['kind'])}</h3>"
        f'<p class="dim">{level}; {count:,} {unit}{of_groups}{more}</p>'
        f"<p>{_text(finding['why'])} <b>{_text(finding['what_to_do'])}</b></p>"
        f"{about}{_gallery(chosen, thumbnails)}{details}</section>"
    )


def _gallery(pictures: Sequence[Mapping[str, Any]], thumbnails: Mapping[Key, str]) -> str:
    groups: dict[object, list[str]] = defaultdict(list)
    lost = [picture for picture in pictures if not thumbnails.get((picture["split"], picture["index"]))]
    listed = "".join(f"<li>{_text(_named(picture))}</li>" for picture in lost)
    for i, picture in enumerate(pictures):
        if picture in lost:
            continue
        lines = [f"<b>{_text(picture['class'])}</b>, {_text(picture['split'])}", _text(picture["detail"])]
        caption = f"{_text(picture['name'])}<br>" + "<br>".join(filter(None, lines))
        groups[picture.get("group", f"alone {i}")].append(
            _figure(picture["split"], picture["index"], caption, thumbnails)
        )
    boxes = [
        f'<div class="group">{"".join(figures)}</div>' if isinstance(group, int) else "".join(figures)
        for group, figures in groups.items()
    ]
    names = f'<ul class="names">{listed}</ul>' if listed else ""
    return names + (f'<div class="pictures">{"".join(boxes)}</div>' if boxes else "")


def _named(picture: Mapping[str, Any]) -> str:
    return f"{picture['name']} ({picture['class']}, {picture['split']}): {picture['detail']}"


def _figure(split: str, index: int, caption: str, thumbnails: Mapping[Key, str]) -> str:
    uri = thumbnails[split, index]
    # Pictures that are smaller than the thumbnails are PNG; they are shown with their pixels.
    small = ' class="small"' if uri.startswith("data:image/png") else ""
    return f'<figure><img src="{escape(uri)}" alt=""{small}><figcaption>{caption}</figcaption></figure>'


def _samples(samples: Sequence[Key], thumbnails: Mapping[Key, str]) -> str:
    figures = "".join(
        _figure(split, index, "", thumbnails) for split, index in samples if thumbnails.get((split, index))
    )
    return f'<h2>Some of the images</h2><div class="pictures">{figures}</div>' if figures else ""


def _classes(report: Mapping[str, Any]) -> str:
    splits = list(report["splits"])
    most = max((row["images"].get("train", 0) for row in report["classes"]), default=0) or 1
    head = "<th>class</th><th></th>" + "".join(f'<th class="n">{_text(split)}</th>' for split in splits)
    smallest_first = sorted(report["classes"], key=lambda row: row["images"].get("train", 0))
    rows = [
        f"<td>{_text(row['class'])}</td>"
        f'<td class="bar"><div style="width:{100 * row["images"].get("train", 0) / most:.1f}%"></div></td>'
        + "".join(f'<td class="n">{row["images"].get(split, 0):,}</td>' for split in splits)
        for row in smallest_first
    ]
    ratio = report["statistics"]["imbalance"]
    balance = "" if ratio is None else f"<p>The smallest first; the largest has {ratio:.3g} times its images.</p>"
    return f"<h2>Classes</h2>{balance}{_table(head, rows)}"


def _difficulty(rows: Sequence[Mapping[str, Any]] | None) -> str:
    if not rows:
        return ""
    head = '<th>class</th><th class="n">images</th><th class="n">accuracy</th><th class="n">mean loss</th>'
    cells = [
        f'<td>{_text(row["class"])}</td><td class="n">{row["images"]:,}</td><td class="n">{row["accuracy"]:.1%}</td>'
        f'<td class="n">{row["loss"]:.4f}</td>'
        for row in rows
    ]
    return (
        "<h2>What the model finds hard</h2><p>All images, the hardest class first; those that it was trained on look "
        f"easier than they are.</p>{_table(head, cells)}"
    )


def _table(head: str, rows: Sequence[str]) -> str:
    def table(part: Iterable[str]) -> str:
        return f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in part)}</table>"

    if len(rows) <= _ROWS_SHOWN:
        return table(rows)
    rest = f"<details><summary>and {len(rows) - _ROWS_SHOWN:,} more</summary>{table(rows[_ROWS_SHOWN:])}</details>"
    return table(rows[:_ROWS_SHOWN]) + rest


def _figures(figures: Mapping[str, Any]) -> str:
    lines = [
        ("formats", _tally(figures["formats"])), ("modes", _tally(figures["modes"])),
        ("gray", f"{figures['gray']:,}"),
    ]  # fmt: skip
    if set(figures["extensions"]) != {"none"}:  # the source is one of files
        lines += [("file extensions", _tally(figures["extensions"]))]
        lines += [("turned by EXIF", f"{figures['turned_by_exif']:,}")]
    charts = ""
    if "mean" in figures:
        common = ", ".join(f"{size['width']} x {size['height']}: {size['images']:,}" for size in figures["sizes"])
        more = figures["different_sizes"] - len(figures["sizes"])
        lines += [
            ("sizes", common + (f", and {more:,} others" if more else "")),
            ("mean of each channel", ", ".join(f"{value:.4f}" for value in figures["mean"])),
            ("standard deviation", ", ".join(f"{value:.4f}" for value in figures["std"])),
        ]
        charts = (
            ""
            if figures["different_sizes"] == 1
            else "".join(
                f'<div><p class="dim">{name}, median {figures[key]["median"]:.4g}</p>{_chart(figures[key])}</div>'
                for key, name in (
                    ("width", "width in pixels"),
                    ("height", "height in pixels"),
                    ("aspect", "width / height"),
                )
            )
        )
    rows = [f"<td>{name}</td><td>{_text(value)}</td>" for name, value in lines]
    table = f'<table class="figures">{"".join(f"<tr>{row}</tr>" for row in rows)}</table>'
    return f'<h2>Figures</h2>{table}<div class="charts">{charts}</div>'


def _tally(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "none"


def _chart(histogram: Mapping[str, Any]) -> str:
    """Bars of equal width for bins that grow geometrically; the edges are written below."""
    counts, edges = histogram["counts"], histogram["edges"]
    most, wide = max(counts) or 1, 300 / len(counts)
    bars = "".join(
        f'<rect x="{i * wide + 1:.1f}" y="{90 - 80 * count / most:.1f}" width="{wide - 2:.1f}" '
        f'height="{80 * count / most:.1f}"><title>{edges[i]:.4g} to {edges[i + 1]:.4g}: {count:,}</title></rect>'
        for i, count in enumerate(counts)
    )
    ends = f'<text x="0" y="104">{edges[0]:.4g}</text><text x="300" y="104" text-anchor="end">{edges[-1]:.4g}</text>'
    return f'<svg viewBox="0 0 300 110" role="img">{bars}<text x="0" y="9">{most:,}</text>{ends}</svg>'


def _anchor(kind: str) -> str:
    return kind.replace(" ", "-")
