"""The floors of the design: imports point downwards only, and heavy packages are imported where they are used."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

FLOORS = {
    0: [
        "config", "config_keys", "model_keys", "schedule_keys", "expressions", "overrides", "rules", "errors", "random",
        "host_random", "streams", "progress", "ops", "environment", "stopping", "hosts",
        "roll_call", "devices", "parameter_names", "folders", "compilation", "allocator",
    ],
    1: [
        "data", "models", "losses", "metrics", "schedules", "optimizers", "lookahead", "tracking", "checkpoints",
        "reports", "audit_page", "views", "run_directory", "checksums", "orbax_manners",
    ],
    2: ["training", "inference"],
    3: [
        "building", "first_weights", "programs", "costs", "epoch_ends", "experiment", "warm_start", "assessment",
        "prediction", "gallery", "audit", "runs_page", "mlflow_model", "schedule_picture",
    ],
    4: ["command_line", "benchmarks", "dry_run", "tuning"],
}  # fmt: skip
# metrics reports the plain cross-entropy, which is defined once, in losses; a checkpoint holds checksums; a warm start
# needs a run and a training state; Lookahead is a part of optimizers
NEIGHBOURS = {
    ("metrics", "losses"), ("optimizers", "lookahead"), ("checkpoints", "checksums"),
    ("checkpoints", "orbax_manners"), ("experiment", "warm_start"), ("experiment", "building"),
    ("experiment", "programs"), ("programs", "building"), ("experiment", "epoch_ends"), ("first_weights", "building"),
    ("programs", "first_weights"), ("epoch_ends", "building"), ("epoch_ends", "programs"), ("costs", "building"),
    ("costs", "programs"),
}  # fmt: skip
ROOM_FLOOR = {room: floor for floor, rooms in FLOORS.items() for room in rooms}
MODULES = sorted((ROOT / "cnn_jax").rglob("*.py"))


def room(module: str) -> str:
    return module.split(".")[1]


def imports(path: Path) -> set[str]:
    """The modules of this package that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "cnn_jax":
            found |= {f"cnn_jax.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return {name for name in found if name.startswith("cnn_jax.")}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_downwards(path: Path) -> None:
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    if name == "cnn_jax.__init__":
        assert not imports(path)
        return
    here = room(name)
    assert here in ROOM_FLOOR, f"{here} stands on no floor: add it to FLOORS"
    for imported in imports(path):
        there = room(imported)
        inside = there == here or (here, there) in NEIGHBOURS
        assert inside or ROOM_FLOOR[there] < ROOM_FLOOR[here] or ROOM_FLOOR[here] == 0 == ROOM_FLOOR[there], (
            f"{name} (floor {ROOM_FLOOR[here]}) imports {imported} (floor {ROOM_FLOOR[there]})"
        )


def test_training_order_inside_its_room() -> None:
    order = ["loss_scale", "state", "step", "averages", "parallel", "evaluation", "signals", "plan", "saving", "loop"]
    for i, name in enumerate(order):
        for imported in imports(ROOT / f"cnn_jax/training/{name}.py"):
            if imported.startswith("cnn_jax.training."):
                assert order.index(imported.rsplit(".", 1)[1]) < i


def test_training_imports_nothing_heavy() -> None:
    heavy = ["tensorflow_datasets", "tensorflow", "wandb", "matplotlib", "sklearn", "PIL", "pandas", "grain"]
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in (ROOT / "cnn_jax/training").glob("*.py")
    ]
    code = "import sys\n" + "".join(f"import {m.removesuffix('.__init__')}\n" for m in [*modules, "cnn_jax.experiment"])
    code += f"print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
