import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnn_jax.cli.progress import command, paste

# What a command line can hold: no NUL, and what the encoding of arguments knows.
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)))


@settings(deadline=None)
@given(st.lists(TEXTS, min_size=1))
def test_a_shell_reads_the_words(words: list[str]) -> None:
    assert shlex.split(paste(words)) == words


def test_bash_reads_them_too() -> None:
    words = [
        "--config.optimizer={'learning_rate': 0.1}",
        "a$HOME'",
        "it's `date`",
        'say "so"',
        "back\\slash'",
        "!x'",
        "*",
        "",
    ]
    said = subprocess.run(
        ["bash", "-c", f"printf '%s\\n' {paste(words)}"], capture_output=True, text=True, check=True, timeout=60
    )
    assert said.stdout.splitlines() == words
    assert paste(words[:1]) == "\"--config.optimizer={'learning_rate': 0.1}\"", "it is easy to read"


def test_the_interpreter_is_named_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "python").symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert shlex.split(command("mine.py")) == ["python", "mine.py"]
