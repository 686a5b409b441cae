"""The page of a report: it runs no script, needs no network, and carries every figure as JSON."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from cnn_jax.pages.render import render_page


class Shown(Protocol):
    """What the page shows of a part; see `reports.section`."""

    title: str
    lead: tuple[str, ...]
    figures: Mapping[str, Any]
    tables: tuple[Any, ...]
    pictures: tuple[Any, ...]


def render(about: Mapping[str, Any], sections: Mapping[str, Any]) -> str:
    """The whole page.

    Args:
      about: which run, split and network.
      sections: the parts by name, as `Shown`.
    """
    return render_page(
        "report.html.j2",
        title=f"Report on {about['run']}",
        about=about,
        sections=sections,
        uris={str(each.file): _data_uri(each.file) for part in sections.values() for each in part.pictures},
        figures=dict(about) | {"parts": {name: dict(part.figures) for name, part in sections.items()}},
    )


def _data_uri(file: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(file.read_bytes()).decode()
