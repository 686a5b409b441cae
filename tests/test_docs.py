"""What the documentation says of files and names is true."""

import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sklearn.datasets import load_digits

from cnn_jax.cli.programs import PROGRAMS
from cnn_jax.config import default_config, override
from cnn_jax.config.keys import AUGMENTATIONS, KEYS, LOSSES, MODELS, OPTIMIZERS
from cnn_jax.config.overrides import split
from cnn_jax.reports.parts import PARTS
from tests.support.helpers import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_scripts_and_configs_exist(page: Path) -> None:
    named = set(re.findall(r"(?<![\w/])(?:scripts|configs)/[\w/]+\.(?:py|yaml)", page.read_text()))
    examples = {"configs/mine.py"} | set(re.findall(r"^# (configs/\w+\.py)$", page.read_text(), re.MULTILINE))
    assert not [name for name in named - examples if not (ROOT / name).exists()]


def test_index_has_every_page() -> None:
    listed = set(re.findall(r"^\| \[(\w+\.md)\]", (ROOT / "docs/index.md").read_text(), re.MULTILINE))
    assert listed == {page.name for page in (ROOT / "docs").glob("*.md")} - {"index.md"}


def test_ideas_of_the_course_live_where_it_says() -> None:
    named = re.findall(r"`([\w/]+(?:\.py|\.yaml|/))`", (ROOT / "docs/course.md").read_text())
    assert len(named) > 20
    assert not [name for name in named if not any((folder / name).exists() for folder in (ROOT, ROOT / "cnn_jax"))]


def test_ideas_of_the_course_have_commands() -> None:
    """Each row has one; programs, parts of the report, configs and keys that it names exist."""
    text = (ROOT / "docs/course.md").read_text()
    rows = [row.split("|")[2] for row in text.splitlines() if row.startswith("| ") and row.count("|") == 4]
    commands = [command for row in rows for command in re.findall(r"`((?:cnn_jax|analyze) [^`]*)`", row)]
    assert len(commands) >= len(rows) - 1 > 25  # the first row is the heading
    for command in commands:
        program, name, *flags = command.split()
        if program == "analyze":
            assert name in PARTS, command
            continue
        assert name in PROGRAMS, command
        override(default_config(), split(flags)[1])
        for config in re.findall(r"--config=(\w+)", command):
            assert (ROOT / f"configs/{config}.py").is_file(), command


def test_config_page_has_every_name() -> None:
    rows = re.findall(r"^\| `([\w.]+)`[^|]*\|(.*)\|$", (ROOT / "docs/config.md").read_text(), re.MULTILINE)
    named: dict[str, set[str]] = {}
    for key, text in rows:
        named.setdefault(key, set()).update(re.findall(r"`(\w+)`", text))
    assert named["model.name"] == set(MODELS)
    assert named["optimizer.name"] == set(OPTIMIZERS)
    assert named["loss.name"] == set(LOSSES)
    assert named["augment"] == set(AUGMENTATIONS)
    for key in ("data.normalization", "augment_padding_mode"):
        assert named[key] == set(KEYS[key].rule.choices)


@pytest.mark.parametrize("page", ["README.md", "docs/python.md"])
def test_examples_in_python_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In order, in one program, from an empty folder; but for the epochs of the README's."""
    Image.fromarray((load_digits().images[7] * 15.9).astype("uint8")).save(tmp_path / "seven.png")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)
    code = "\n".join(blocks).replace("\ncnn_jax.fit(config,", "\nconfig.num_epochs = 1\ncnn_jax.fit(config,", 1)
    names: dict[str, Any] = {}
    exec(compile(code, page, "exec"), names)
    assert len(names["run"].predict(names["digits"].images[7] if page == "README.md" else names["images"][:1])) == 1
