"""Names of classes and files are shown, never obeyed; nothing in the code turns text into code."""

import ast
import csv
from pathlib import Path

import pytest

from cnn_jax.experiment.fitting import fit
from cnn_jax.inference.evaluation import assess
from cnn_jax.inference.run import load_run
from cnn_jax.inference.tables import predicted_row, write_evaluated
from tests.support.helpers import ROOT, script, tiny_config
from tests.support.hostile import rewrite_config
from tests.support.made_up import save_picture

NAMES = ["..", "<script>alert(1)<", "=cmd|' /C calc'!A0", "+1+1", "@SUM(1)", "-2", "two\nlines", "\x1b[31mred\x1b[0m",
         "$(touch ran)", "%s{0}", "a\tb", "$x^2$"]  # fmt: skip


@pytest.mark.slow
def test_names_of_classes_stay_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a folder and a manifest to the terminal, tables and pictures: nothing is obeyed, and no file is named so."""
    monkeypatch.chdir(tmp_path)
    rows = [
        (str(save_picture(tmp_path / f"in/{k}-{i}.png", 20 * k)), name)
        for k, name in enumerate(NAMES)
        for i in range(4)
    ]
    with open(tmp_path / "in/set.csv", "w", newline="") as file:
        csv.writer(file).writerows([("path", "label"), ("../other/x.png", "../../x"), *rows])
    save_picture(tmp_path / "other/x.png")
    before = {path.name for path in tmp_path.iterdir()}
    config = tiny_config(
        data__source="csv", data__dir=str(tmp_path / "in/set.csv"), data__image_size=8, data__validation=0,
        batch_size=8, num_epochs=1, data__test=0.3,
    )  # fmt: skip
    fit(config, tmp_path / "run")
    assess(tmp_path / "run")
    assert {path.name for path in tmp_path.iterdir()} == before | {"run"}
    run = load_run(tmp_path / "run")
    assert len(run.class_names) == len(NAMES) + 1
    assert all(name.isprintable() for name in run.class_names)
    evaluated = script("evaluate.py", "--workdir=run")
    predicted = script("predict.py", "--workdir=run", "--top=20", "in/0-0.png")
    for result in (evaluated, predicted):
        assert result.returncode == 0, result.stderr
        assert "\x1b" not in result.stdout + result.stderr
        assert r"\x1b[31mred" in result.stdout
    assert script("predict.py", "--workdir=run", "--csv=table.csv", "in/0-0.png").returncode == 0
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert not any("script" in name or "cmd" in name or name == "ran" for name in files)


def test_no_cell_of_a_table_is_a_formula(tmp_path: Path) -> None:
    for start in "=+-@\t\r":
        classes = ((f"{start}A1", 0.25), (f"{start}B", 0.125))
        row = predicted_row(f"{start}1.png", classes, None, 2)
        assert row == [f"./{start}1.png", f"'{start}A1", "0.250000", f"'{start}B", "0.125000", ""]
        row = predicted_row(f"{start}1.png", (), f"{start}1.png: it is broken", 1)
        assert row == [f"./{start}1.png", "", "", f"'{start}1.png: it is broken"]
        evaluated = {"path": f"{start}1", "label": f"{start}A", "prediction": f"{start}B", "probability": 0.5}
        lines = write_evaluated([evaluated], tmp_path / "table.csv").read_bytes().decode().split("\r\n")
        assert next(csv.reader(lines[1:])) == [f"./{start}1", f"'{start}A", f"'{start}B", "0.500000"]
    assert predicted_row("/a/-1.png", (("cat", 1.0),), None, 1)[:2] == ["/a/-1.png", "cat"]


def test_a_run_that_was_handed_over_with_names_for_a_terminal(handed_over: Path, photographs: list[Path]) -> None:
    rewrite_config(handed_over, "resolved", "class_names", value=[f"\x1b]0;{k}\x07" for k in range(10)])
    result = script("predict.py", f"--workdir={handed_over}", photographs[0])
    assert result.returncode == 0, result.stderr
    assert "\x1b" not in result.stdout
    assert r"\x1b]0;" in result.stdout


UNPICKLERS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "tarfile"}
FORBIDDEN = {
    "eval", "exec", "compile", "__import__", "yaml.load", "os.system", "os.popen", "shutil.unpack_archive",
    "importlib.import_module",
}  # fmt: skip


def offences(source: str) -> list[str]:
    """The imports and calls in a source that can turn what they read into code."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            found += [name for name in modules if name.partition(".")[0] in UNPICKLERS]
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if called in FORBIDDEN or keywords.get("shell", "False") != "False":
                found.append(called)
            if called == "np.load" and keywords.get("allow_pickle") != "False":
                found.append(called)
    return found


def test_code_is_made_of_no_text() -> None:
    """Only a --config file is code, and it is meant to be."""
    files = [*(ROOT / "cnn_jax").rglob("*.py"), *(ROOT / "scripts").glob("*.py")]
    assert len(files) > 100
    found = {str(path.relative_to(ROOT)): offences(path.read_text()) for path in files}
    # What tables and the user's own code name, never a file; rooms behind the front door; commands, parts, studies.
    importing = ("config/tables.py", "__init__.py", "commands/dispatch.py", "reports/parts.py")
    for name in (*(f"cnn_jax/{each}" for each in importing), "scripts/study.py"):
        assert set(found.pop(name)) == {"importlib.import_module"}, name
    assert not any(found.values()), found
    assert [path.name for path in files if "exec_module" in path.read_text()] == ["files.py"]


def test_offences_are_found() -> None:
    for source in (
        "import pickle", "from marshal import loads", "eval('1')", "yaml.load(x)", "os.system('ls')",
        "subprocess.run('ls', shell=True)", "np.load(path)", "np.load(path, allow_pickle=True)",
    ):  # fmt: skip
        assert offences(source), source
    assert not offences("import yaml, numpy as np\nnp.load(path, allow_pickle=False)\nyaml.safe_load(x)")
