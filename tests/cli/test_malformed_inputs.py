"""Every command on malformed inputs: exit status 2, one line that says what is wrong, no traceback, nothing left."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.commands import outcome, refused
from tests.support.helpers import ROOT, script
from tests.support.made_up import save_picture
from tests.support.malformed import (
    CHECKPOINTS,
    CONFIGS,
    FOLDERS,
    MANIFESTS,
    PATHS,
    RUNS,
    SUMMARIES,
    SWEEPS,
    flip_bytes,
    malformed_paths,
)

CONFIG = """from cnn_jax.config import default_config
def get_config():
    c = default_config(model="linear", optimizer="adamw")
    c.batch_size, c.num_epochs, c.parallel.devices = 128, 1, 1
    c.augment = (("flip", 0.5),)
    return c
"""
# What reads a config, and what reads pictures besides.
WITH_DATA = {
    "train.py": ["--workdir=run"], "find_lr.py": [], "find_batch_size.py": [], "show_augment.py": [],
    "show_schedule.py": [],
}  # fmt: skip
WITH_CONFIG = WITH_DATA | {
    "repeat.py": ["--seeds=2"], "audit_data.py": [], "predict.py": ["--workdir=run", "x.png"],
    "evaluate.py": ["--workdir=run"],
}  # fmt: skip


def write(path: Path, content: str | bytes) -> None:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.mark.parametrize("what", CONFIGS)
def test_malformed_configs(tmp_path: Path, what: str) -> None:
    content, words = CONFIGS[what]
    write(tmp_path / "config.py", content)
    takes_long = what == "a block in itself"  # Python's stack is filled each time
    for name, arguments in list(WITH_CONFIG.items())[: 1 if takes_long else None]:
        assert words in refused(name, "--config=config.py", *arguments, folder=tmp_path)
    sweep = SWEEP.replace('"${program}"', '"${program}", --config=config.py')
    write(tmp_path / "sweep.yaml", sweep)
    assert words in refused("sweep.py", "--sweep=sweep.yaml", "--workdir=run", folder=tmp_path)
    assert words in refused("benchmark.py", "--configs=config.py", "--only=envelope", folder=tmp_path)


SWEEP = """program: scripts/train.py
method: random
run_cap: 1
command: ["${program}", "${args}"]
parameters: {config.seed: {value: 1}}
"""


@pytest.mark.parametrize("what", PATHS)
def test_paths_that_are_no_config(tmp_path: Path, what: str) -> None:
    malformed_paths(tmp_path)
    path, words = PATHS[what]
    for name, arguments in WITH_CONFIG.items():
        assert words in refused(name, f"--config={path}", *arguments, folder=tmp_path)


@pytest.mark.parametrize("path", ["x" * 300, f"new/{'x' * 300}", "config.py/run", "loop", "gone", "s3://bucket/run"])
def test_folders_that_cannot_be(tmp_path: Path, path: str) -> None:
    """What is made on the way to one goes away again."""
    (tmp_path / "config.py").write_text(CONFIG)
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "gone").symlink_to("nowhere")
    assert "--workdir=" in refused("train.py", "--config=config.py", f"--workdir={path}", folder=tmp_path)
    if ":" not in path:
        assert "--workdir=" in refused(
            "repeat.py", "--config=config.py", "--seeds=1", f"--workdir={path}", folder=tmp_path
        )
        for name in ("find_lr.py", "find_batch_size.py"):
            assert "--output=" in refused(name, "--config=config.py", f"--output={path}", folder=tmp_path)
        keys = ["--config.data.source=tfds", "--config.data.name=mnist", f"--config.data.dir={path}"]
        assert "not prepared" in refused("train.py", "--config=config.py", "--workdir=run", *keys, folder=tmp_path)
        assert "there is no such folder" in refused("runs.py", path, folder=tmp_path)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for k, name in enumerate(("cat", "dog")):
        for i in range(4):
            save_picture(tmp_path / "photos" / name / f"{i}.png", 40 + 20 * i + k, size=(8, 8))
    (tmp_path / "config.py").write_text(CONFIG)
    return tmp_path / "photos"


@pytest.mark.parametrize("what", MANIFESTS)
def test_malformed_manifests(photos: Path, what: str) -> None:
    content, words = MANIFESTS[what]
    write(photos / "rows.csv", content)
    keys = ["--config=config.py", "--config.data.source=csv", "--config.data.dir=photos/rows.csv"]
    for name, arguments in WITH_DATA.items():
        line = refused(name, *keys, *arguments, folder=photos.parent)
        assert words in line


@pytest.mark.parametrize("what", FOLDERS)
def test_malformed_folders(photos: Path, what: str) -> None:
    change, words = FOLDERS[what]
    change(photos)
    keys = ["--config=config.py", "--config.data.source=folder", "--config.data.dir=photos"]
    for name, arguments in WITH_DATA.items():
        assert words in refused(name, *keys, *arguments, folder=photos.parent)


@pytest.mark.parametrize("what", SWEEPS)
def test_malformed_sweeps(tmp_path: Path, what: str) -> None:
    content, words = SWEEPS[what]
    write(tmp_path / "sweep.yaml", content)
    assert words in refused("sweep.py", "--sweep=sweep.yaml", "--workdir=run", folder=tmp_path)


@pytest.mark.parametrize("url", ["nowhere", "sqlite:////nowhere/x.db", "sqlite:///folder", "mysql://u:p@h/x"])
def test_storages_that_cannot_be_opened(tmp_path: Path, url: str) -> None:
    (tmp_path / "folder").mkdir()
    write(tmp_path / "sweep.yaml", SWEEP)
    line = refused("sweep.py", "--sweep=sweep.yaml", "--workdir=deep/er", f"--storage={url}", folder=tmp_path)
    assert "--storage=" in line


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with config.py, a finished run of it and a picture; tests copy it."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "config.py").write_text(CONFIG)
    Image.fromarray(np.full((8, 8), 100, np.uint8)).save(folder / "x.png")
    assert outcome("train.py", "--config=config.py", "--workdir=run", folder=folder).status == 0
    return folder


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "copy"))


TRAIN = ("train.py", "--config=config.py", "--workdir=run")
LONGER = (*TRAIN, "--config.num_epochs=2")
USES = [
    ("predict.py", "--workdir=run", "x.png"),
    ("evaluate.py", "--workdir=run"),
    ("audit_data.py", "--workdir=run"),
    ("train.py", "--config=config.py", "--workdir=new", "--config.init_from=run"),
]


@pytest.mark.parametrize("what", RUNS)
def test_malformed_runs(copy: Path, what: str) -> None:
    damage, words = RUNS[what]
    damage(copy / "run")
    for command in USES if what == "gone" else [*USES, LONGER]:
        line = refused(*command, folder=copy)
        assert any(word in line for word in words.split("|"))
    listed = outcome("runs.py", ".", folder=copy)
    assert (listed.status, listed.err) == (0, "")


@pytest.mark.parametrize("what", CHECKPOINTS)
def test_malformed_checkpoints(copy: Path, what: str) -> None:
    """A run that is to go on is as it was where it cannot: its summary is not lost, either."""
    damage, words = CHECKPOINTS[what]
    (step,) = (copy / "run/checkpoints").iterdir()
    damage(step)
    for command in (USES[0], USES[3], LONGER):
        assert words in refused(*command, folder=copy)


@pytest.mark.parametrize("what", SUMMARIES)
def test_malformed_summaries(copy: Path, what: str) -> None:
    """Removed, as the line says, they come back."""
    damage, words = SUMMARIES[what]
    damage(copy / "run")
    line = refused(*TRAIN, folder=copy)
    assert words in line
    assert line.endswith("remove it, and the same command makes it again")
    assert outcome("runs.py", "run", folder=copy).status == 0


@pytest.mark.parametrize("seed", [*range(12), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(12, 100))])
def test_flipped_bytes_in_runs(copy: Path, seed: int) -> None:
    """One file of a run, damaged: it is refused in one line, or used as it was."""
    files = sorted(path for path in (copy / "run").rglob("*") if path.is_file() and path.stat().st_size)
    flip_bytes(files[np.random.RandomState(seed).randint(len(files))], seed)
    ended = outcome(*USES[0], folder=copy)
    if ended.status == 0:
        assert ended.out.startswith("x.png: ")
    else:
        shutil.rmtree(copy / "new", ignore_errors=True)
        refused(*USES[0], folder=copy)
    assert outcome("runs.py", ".", folder=copy).status == 0


@pytest.mark.parametrize("flag", ["--html", "--csv"])
def test_files_that_cannot_be_written(copy: Path, flag: str) -> None:
    """What is half written goes away again."""
    (copy / "folder").mkdir()
    for target in ("folder", "x.png/file", "x" * 300):
        ended = outcome("runs.py", ".", f"{flag}={target}", folder=copy)
        assert ended.status == 2
        assert ended.err.startswith("runs.py: ")
        assert (ended.err.count("\n"), ended.changed) == (1, [])


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("train.py", ["--config=config.py"]), ("sweep.py", ["--sweep=config.py"]),
        ("repeat.py", [f"--config={ROOT}/configs/digits.py", "--config.data.dir=gone", "--config.data.source=folder",
                       "--seeds=2", "--workdir=deep/er/run"]),
    ],
)  # fmt: skip
def test_malformed_in_a_process(
    tmp_path: Path, name: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a user starts them; what a run of several refuses leaves nothing, either."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "config.py", "def get_config(:")
    result = script(name, *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["config.py"]
