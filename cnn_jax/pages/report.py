"""The page of a report: it runs no script, needs no network, and carries every figure as JSON."""

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from cnn_jax.pages.render import render_page

_LARGE = 150_000  # bytes of a PNG


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
    """A large picture, which holds photographs, as WebP that looks the same: a tenth of the PNG, about."""
    kind, content = "png", file.read_bytes()
    if len(content) > _LARGE:
        from PIL import Image

        stream = io.BytesIO()
        with Image.open(file) as image:
            image.convert("RGB").save(stream, "WEBP", quality=85)
        kind, content = min((kind, content), ("webp", stream.getvalue()), key=lambda each: len(each[1]))
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
