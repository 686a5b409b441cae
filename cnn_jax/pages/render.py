"""Pages from `templates/` and `static/`: each is one HTML file that needs no network.

Whatever a template prints is shown as one printable line and escaped, but for the HTML that templates themselves make.
"""

import functools
import json
import math
from importlib import resources
from typing import TYPE_CHECKING, Any

from cnn_jax.errors import shown

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


def render_page(template: str, title: str, **values: Any) -> str:
    """The whole page.

    Args:
      template: a file of `templates/` that extends `base.html.j2`.
      title: of the browser's tab, and the first heading.
      **values: what else the template names; a name without a value is an error.
    """
    return _environment().get_template(template).render(title=title, **values)


def script_json(data: Any) -> "Markup":
    """JSON that may stand inside <script>: nothing in it can end the element or begin a comment.

    Raises:
      ValueError: a number is not finite.
    """
    from markupsafe import Markup

    text = json.dumps(data, allow_nan=False)  # ASCII only
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def thousands(count: int) -> str:
    return f"{count:,}"


def counted(count: int, noun: str) -> str:
    """'1 image' or '1,344 images'."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def figure(value: Any) -> str:
    """A number with four significant digits; anything else as it is."""
    return f"{value:.4g}" if isinstance(value, int | float) else str(value)


def is_number(value: Any) -> bool:
    """Whether a cell stands on the right; a missing figure (None) does, too."""
    return value is None or isinstance(value, int | float)


def duration(seconds: float) -> str:
    if not math.isfinite(seconds) or seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


@functools.cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("cnn_jax.pages"), autoescape=True, undefined=StrictUndefined, finalize=_printable,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.globals["static"] = _static
    environment.filters |= {
        "counted": counted, "duration": duration, "figure": figure, "is_number": is_number,
        "script_json": script_json, "thousands": thousands,
    }  # fmt: skip
    return environment


def _printable(value: Any) -> Any:
    """Runs before escaping; HTML of templates passes."""
    return value if hasattr(value, "__html__") else shown(str(value))


def _static(name: str) -> "Markup":
    """The text of a file of `static/`, as it stands."""
    from markupsafe import Markup

    return Markup(resources.files("cnn_jax.pages").joinpath("static", name).read_text(encoding="utf-8"))
