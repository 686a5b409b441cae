"""The command `cnn_jax`: which programs it has, how it is called, and what it says of itself."""

import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from cnn_jax.cli import programs
from cnn_jax.cli.programs import PROGRAMS
from cnn_jax.commands import dispatch
from cnn_jax.experiment.ending import describe_end
from tests.experiment.test_ending import SUMMARY
from tests.support.helpers import ROOT, tiny_config

LAUNCHER = "/env/bin/cnn_jax"
OF_A_CHECKOUT = {"benchmark.py", "study.py"}  # they measure; their folders are no part of the package


def called(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", list(words))


def cnn_jax(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "cnn_jax", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=300)


def test_every_script_has_its_command() -> None:
    """And the reverse; the modules of both have one name."""
    scripts = {path.name for path in (ROOT / "scripts").glob("*.py")} - OF_A_CHECKOUT
    assert {program.script for program in PROGRAMS.values()} == scripts
    modules = {path.name for path in (ROOT / "cnn_jax/commands").glob("*.py")} - {"__init__.py", "dispatch.py"}
    assert modules == scripts
    for program in PROGRAMS.values():
        command = importlib.import_module(program.module)
        assert command.main.__code__.co_argcount == 1 + program.saves
        assert len((ROOT / "scripts" / program.script).read_text().splitlines()) <= 7


def test_the_page_has_every_command() -> None:
    rows = [line.split("|")[1:3] for line in (ROOT / "docs/commands.md").read_text().splitlines() if line[:3] == "| `"]
    named = [[re.findall("`([^`]+)`", cell) for cell in row] for row in rows]
    found = {name: script for names, scripts in named for name, script in zip(names, scripts, strict=True)}
    assert found == {name: f"scripts/{program.script}" for name, program in PROGRAMS.items()}


def test_help_lists_every_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["--help"], ["-h"]):
        called(monkeypatch, LAUNCHER, *words)
        with pytest.raises(SystemExit) as ended:
            dispatch.main("1.2.3")
        assert ended.value.code == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line.split()[0] for line in lines if line.startswith("  ")] == list(PROGRAMS)
        assert max(map(len, lines)) <= 100


def test_the_version_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    called(monkeypatch, LAUNCHER, "--version")
    with pytest.raises(SystemExit):
        dispatch.main("1.2.3")
    assert capsys.readouterr().out == "cnn_jax 1.2.3\n"


@pytest.mark.parametrize(("word", "meant"), [("trian", "train"), ("find-ls", "find-lr"), ("--verison", None)])
def test_unknown_commands(
    word: str, meant: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    called(monkeypatch, LAUNCHER, word)
    with pytest.raises(SystemExit) as ended:
        dispatch.main("1.2.3")
    assert ended.value.code == 2
    hint = f" (did you mean '{meant}'?)" if meant else ""
    assert capsys.readouterr().err == f"cnn_jax: there is no command '{word}'{hint}; --help lists them all\n"


@pytest.mark.parametrize("word", ["find-lr", "find_lr"])
def test_hyphens_and_underscores(word: str) -> None:
    assert programs.find(word) == "find-lr"


@pytest.mark.parametrize("word", ["audit", "audit_data", "audit-data"])
def test_names_of_scripts_are_known(word: str) -> None:
    assert programs.find(word) == "audit"


def test_nothing_heavy_before_the_command() -> None:
    """Help and mistakes come without JAX, and help without the config's library, too."""
    heavy = ["jax", "flax", "numpy", "matplotlib", "tensorflow_datasets", "wandb", "PIL", "sklearn", "pandas"]
    code = f"""
import sys
sys.argv = ["cnn_jax", *sys.argv[1:]]
import cnn_jax.__main__
try:
    cnn_jax.__main__.main()
finally:
    print([name for name in {heavy} if name in sys.modules], "ml_collections" in sys.modules, file=sys.stderr)
"""
    for words, config in (["--help"], False), (["trian"], True), (["train", "--help"], True):
        result = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
        assert result.stderr.splitlines()[-1] == f"[] {config}", (words, result.stderr)


def test_a_program_calls_itself_as_it_was_called(tmp_path: Path) -> None:
    result = cnn_jax("find_lr", "--steps=no", cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr.startswith("cnn_jax find-lr: ")
    assert result.stderr.count("\n") == 1
    result = cnn_jax("evaluate", "--workdir=gone", cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr.startswith("cnn_jax evaluate: ")
    usage = cnn_jax("repeat", "--help", cwd=tmp_path).stdout
    assert usage.startswith("usage: cnn_jax repeat ")
    assert "cnn_jax evaluate" in usage
    assert "scripts/" not in usage
    usage = subprocess.run(
        [sys.executable, str(ROOT / "scripts/repeat.py"), "--help"], capture_output=True, text=True
    ).stdout
    assert usage.startswith("usage: repeat.py ")
    assert "scripts/evaluate.py evaluates" in usage
    assert "cnn_jax" not in usage


def next_commands() -> list[list[str]]:
    text = describe_end(SUMMARY, tiny_config(), "runs/a")
    return [shlex.split(line) for line in text.splitlines() if line.startswith("  ")]


def test_advice_has_the_form_of_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a script of a checkout; as a command, by its name where the shell finds it; as a module."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "executable", "/env/bin/python")
    called(monkeypatch, "scripts/train.py")
    assert next_commands()[0] == ["/env/bin/python", "scripts/evaluate.py", "--workdir=runs/a"]
    monkeypatch.chdir(tmp_path)
    assert next_commands()[0] == ["/env/bin/python", str(ROOT / "scripts/evaluate.py"), "--workdir=runs/a"]

    launcher = tmp_path / "env/bin/cnn_jax"
    launcher.parent.mkdir(parents=True)
    launcher.write_text("#!/bin/sh\n")
    launcher.chmod(0o755)
    called(monkeypatch, str(launcher), "train", "--workdir=runs/a b")
    assert next_commands()[0] == ["env/bin/cnn_jax", "evaluate", "--workdir=runs/a"]
    assert programs.again() == "env/bin/cnn_jax train '--workdir=runs/a b'"
    monkeypatch.setenv("PATH", str(launcher.parent))
    assert next_commands()[1] == ["cnn_jax", "predict", "--workdir=runs/a", "IMAGE", "..."]

    called(monkeypatch, str(ROOT / "cnn_jax/__main__.py"), "train")
    assert next_commands()[0] == ["/env/bin/python", "-m", "cnn_jax", "evaluate", "--workdir=runs/a"]
    assert programs.again() == "/env/bin/python -m cnn_jax train"


def test_python_programs_are_told_what_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scripts where there is a checkout, else the command beside the interpreter."""
    monkeypatch.chdir(tmp_path)
    called(monkeypatch, "mine.py")
    assert programs.start("prepare").endswith("scripts/prepare_data.py")
    monkeypatch.setattr(programs, "_PACKAGE", tmp_path / "site-packages/cnn_jax")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin/python"))
    assert programs.start("prepare") == "bin/python -m cnn_jax prepare"
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/cnn_jax").touch()
    assert programs.start("prepare", "--dataset=mnist") == "bin/cnn_jax prepare --dataset=mnist"
    assert programs.as_started("run cnn_jax train") == "run cnn_jax train"


def test_an_extra_is_installed_from_what_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert programs.install("sweep") == 'pip install -e ".[sweep]"'
    monkeypatch.setattr(programs, "_PACKAGE", tmp_path / "site-packages/cnn_jax")
    needed = [
        "jax<0.13,>=0.10",
        "optuna>=4.5; extra == 'sweep'",
        'plotly>=6; extra == "sweep"',
        "mlflow; extra == 'ml'",
    ]
    monkeypatch.setattr(programs.metadata, "requires", lambda name: needed)
    assert programs.install("sweep") == "pip install 'optuna>=4.5' 'plotly>=6'"


def test_names_in_errors() -> None:
    assert programs.names_in(["python", "scripts/train.py", "--x"]) == ["train.py"]
    assert programs.names_in(["python", *programs.module_words("train"), "--x"]) == ["cnn_jax train"]
    assert programs.names_in(["/site/cnn_jax/__main__.py", "find_lr"]) == ["cnn_jax find-lr"]
    assert programs.names_in(["python", "cnn_jax", "x"]) == []
