"""All pages: what is printed is escaped, static files are inlined, and a page is light to import."""

import json
import re
import subprocess
import sys

import pytest

from cnn_jax.pages import render
from cnn_jax.pages.render import counted, duration, figure, render_page, script_json
from tests.support.helpers import ROOT

PAGES = ROOT / "cnn_jax/pages"


def test_base_escapes_the_title_and_inlines_style() -> None:
    page = render_page("base.html.j2", title='</title><script>"\n\udcff')
    assert page.startswith("<!DOCTYPE html>\n<html")
    assert page.count(r"&lt;/title&gt;&lt;script&gt;&#34;\n\udcff") == 2  # in the tab and as the heading
    assert "<script" not in page
    assert (PAGES / "static/style.css").read_text() in page
    page.encode("utf-8")


def test_a_name_without_a_value_is_an_error() -> None:
    from jinja2 import UndefinedError

    with pytest.raises(UndefinedError, match="report"):
        render_page("audit.html.j2", title="x")


@pytest.mark.parametrize("text", ["</script><b>", "<!--<script>", "&lt;", "\u2028"])
def test_script_json_stays_in_its_element(text: str) -> None:
    inlined = script_json({text: [text]})
    assert not re.search("[<>&\u2028]", inlined)
    assert json.loads(inlined) == {text: [text]}
    page = render._environment().from_string("<script>{{ data|script_json }}</script>").render(data=text)
    assert page == f"<script>{script_json(text)}</script>"


def test_script_json_refuses_nan() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        script_json([float("nan")])


def test_static_files_load_nothing() -> None:
    files = [*PAGES.glob("static/*"), *PAGES.glob("templates/*.j2")]
    assert len(files) >= 5
    for path in files:
        text = path.read_text()
        assert not re.search(r"https?:|@import|url\(|</script", text.replace("</script>\n", "")), path
        assert not re.search(r"\|\s*safe|autoescape", text), f"{path}: escaping is never switched off"
    assert not any("</script" in path.read_text() for path in PAGES.glob("static/*"))


def test_figures_as_text() -> None:
    assert [counted(1, "image"), counted(1344, "image")] == ["1 image", "1,344 images"]
    assert [figure(0.123456), figure(12), figure("x")] == ["0.1235", "12", "x"]
    assert [duration(119.4), duration(600), duration(9000)] == ["119 s", "10 min", "2.5 h"]


def test_pages_import_without_jinja2() -> None:
    code = "import sys, cnn_jax.pages.audit, cnn_jax.pages.runs; print('jinja2' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert result.stdout.strip() == "False"
