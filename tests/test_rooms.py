"""The floors of the design: imports point downwards only, and heavy packages are imported where they are used."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

from tests.support.helpers import ROOT

# From the bottom; a room may import those of lower floors alone. Those of one floor do not know each other.
FLOORS = (
    ("config", "ops", "random"),
    ("models", "runtime"),
    ("cli", "optimization"),
    ("distributed",),
    ("data", "runs"),
    ("analysis", "pages", "pictures", "tracking", "training"),
    ("inference",),
    ("audit", "experiment", "reports"),
    ("tuning",),
    ("commands",),
)
FLOOR_OF = {"errors": 0} | {room: floor for floor, rooms in enumerate(FLOORS, start=1) for room in rooms}
PACKAGE = ROOT / "cnn_jax"


def modules() -> dict[str, Path]:
    """Dotted name: file."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in PACKAGE.rglob("*.py")
    }


def imports(path: Path, known: dict[str, Path]) -> set[str]:
    """The modules of this package that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in known else node.module for name in names}
    return {name for name in found if name == "cnn_jax" or name.startswith("cnn_jax.")}


def room(module: str) -> str:
    return module.split(".")[1]


def test_no_module_lies_loose() -> None:
    assert {path.name for path in PACKAGE.glob("*.py")} == {"__init__.py", "__main__.py", "errors.py"}
    rooms = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()} | {"errors"}
    assert rooms == set(FLOOR_OF), "FLOORS names every room once"


def test_imports_point_downwards() -> None:
    known, wrong = modules(), []
    for name, path in known.items():
        if name in ("cnn_jax", "cnn_jax.__main__"):  # the front doors, above all floors
            continue
        for imported in imports(path, known):
            here, there = room(name), room(imported)
            if here != there and FLOOR_OF[there] >= FLOOR_OF[here]:
                wrong.append(f"{name} (floor {FLOOR_OF[here]}) imports {imported} (floor {FLOOR_OF[there]})")
    assert not wrong, "\n".join(wrong)


def test_modules_import_in_one_direction() -> None:
    """Within rooms, too: no circle of modules."""
    known = modules()
    packages = {name for name, path in known.items() if path.name == "__init__.py"}
    graph = {name: imports(path, known) - packages for name, path in known.items() if name not in packages}
    TopologicalSorter(graph).prepare()


def test_files_and_functions_are_short() -> None:
    """At most 300 lines a file and 60 a function."""
    long = []
    for path in sorted(
        file for folder in ("cnn_jax", "scripts", "configs", "tests") for file in (ROOT / folder).rglob("*.py")
    ):
        text, name = path.read_text(), path.relative_to(ROOT)
        if text.count("\n") > 300:
            long.append(f"{name}: {text.count(chr(10))} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno >= 60:
                long.append(f"{name}:{node.lineno}: {node.name} is too long")
    assert not long, "\n".join(long)


def test_training_imports_nothing_heavy() -> None:
    heavy = ["tensorflow_datasets", "tensorflow", "wandb", "matplotlib", "sklearn", "PIL", "pandas", "grain"]
    wanted = [name for name in modules() if name.startswith("cnn_jax.training")]
    code = "import sys\n" + "".join(f"import {name}\n" for name in [*wanted, "cnn_jax.experiment"])
    code += f"print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_what_the_readme_imports_is_there() -> None:
    for name in ("default_config", "fit", "load_run", "search_runs"):
        place = {"default_config": "config", "fit": "experiment", "load_run": "inference", "search_runs": "tracking"}
        module = __import__(f"cnn_jax.{place[name]}", fromlist=[name])
        assert callable(getattr(module, name))
