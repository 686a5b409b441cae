"""Whole runs that cannot begin or go on: one line says why, and what is on disk stays as it was."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.errors import InputError, Interrupted, NonFiniteError
from cnn_jax.experiment import fitting as experiment_module
from cnn_jax.experiment.fitting import fit
from cnn_jax.inference.run import load_run
from tests.support.helpers import read_json, script, tiny_config
from tests.support.runs import signal_at


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"optimizer__learning_rate": 0.5}, r"optimizer\.learning_rate: 0\.02 -> 0\.5"),
        ({"num_epochs": 1}, "num_epochs: 2 -> 1"),
        ({"model__name": "linear"}, r"model\.name: cnn -> linear"),
    ],
)
def test_a_run_of_another_config_is_refused(reference: Path, changes: dict[str, Any], words: str) -> None:
    before = {path: path.stat().st_mtime_ns for path in reference.rglob("*")}
    with pytest.raises(InputError, match=words):
        fit(tiny_config(**changes), reference)
    assert {path: path.stat().st_mtime_ns for path in reference.rglob("*")} == before


def test_other_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="not a run"):
        fit(tiny_config(), tmp_path)
    with pytest.raises(InputError, match="this is a file"):
        fit(tiny_config(), tmp_path / "notes.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_broken_config_file_in_a_run_is_said(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match=r"config\.json: it cannot be read"):
        fit(tiny_config(), tmp_path)


def test_data_that_changed_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        signal_at(patch, 4, which=0)
        with pytest.raises(Interrupted):
            fit(tiny_config(), tmp_path / "run")
    saved = read_json(tmp_path / "run/config.json")
    saved["resolved"]["normalization"]["mean"] = [0.5]
    (tmp_path / "run/config.json").write_text(json.dumps(saved))
    with pytest.raises(InputError, match=r"the data have changed .*normalization"):
        fit(tiny_config(), tmp_path / "run")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"batch_size": 2000}, r"batch_size=2000.*1294 examples"),
        ({"model__filters": (4, 4, 4, 4)}, r"images of 8x8 are too small .*block4/pool"),
        ({"data__validation": 5000}, r"data\.validation=5000"),
        ({"schedule__div_factor": 1e-300}, "gives a rate of inf at step 0 of"),
        ({"data__source": "tfds", "data__name": "mnist", "data__dir": "/nowhere"}, "prepare_data.py"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_written(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        fit(tiny_config(**changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="a read-only mount needs root")
def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", folder], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        with pytest.raises(InputError, match="cannot be written"):
            fit(tiny_config(), folder / "run")
    finally:
        subprocess.run(["umount", folder], check=True)


def test_patience_needs_validation(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"patience=2: it watches validation data"):
        fit(tiny_config(patience=2, data__validation=0), tmp_path / "run")


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    config = tiny_config(
        num_epochs=3, optimizer__name="sgd", schedule__name="MultiStepLR", schedule__milestones=(1,),
        schedule__gamma=1e30, model__norm="none",
    )  # fmt: skip
    with pytest.raises(
        NonFiniteError, match=r"at step 1[0-9], .*learning rate was 2e\+28.*checkpoint of step 10 is kept"
    ):
        fit(config, tmp_path / "run")
    load_run(tmp_path / "run")
    assert not (tmp_path / "run/summary.json").exists()
    (tmp_path / "c.py").write_text(
        "from cnn_jax.config import default_config, override\n"
        "def get_config():\n    return override(default_config(), [('optimizer.learning_rate', 1e30)])\n"
    )
    result = script("train.py", f"--config={tmp_path / 'c.py'}", f"--workdir={tmp_path / 'script'}")
    assert result.returncode == 3
    assert "no epoch had been finished" in result.stderr
    assert "Traceback" not in result.stderr


def test_parameters_that_are_not_finite_are_never_saved(tmp_path: Path) -> None:
    """The last of two epochs' 22 steps makes them so; its own loss is still that of the parameters before it."""
    config = tiny_config(
        num_epochs=2, data__validation=0, optimizer__name="sgd", optimizer__learning_rate=2e-12,
        optimizer__rate_multipliers=((".", 1e10),), schedule__name="LambdaLR", schedule__unit="steps",
        schedule__lr_lambda="1 if t < 21 else 1e49",
    )  # fmt: skip
    with pytest.raises(NonFiniteError, match=r"a parameter became nan at step 21, .*checkpoint of step 11 is kept"):
        fit(config, tmp_path / "run")
    run = load_run(tmp_path / "run")
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(run.variables))


def test_a_device_with_too_little_memory_is_one_line_and_its_advice_can_be_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_large(*arguments: Any) -> None:
        jax.jit(lambda x: jnp.sort(x[:, None] * x[None, :], axis=0).sum())(jnp.ones(2**21)).block_until_ready()  # 17 TB

    with monkeypatch.context() as patch:
        patch.setattr(experiment_module, "_run", too_large)
        with pytest.raises(InputError, match=r"not enough memory .*ways out: .*batch_size \(it is 128\)") as caught:
            fit(tiny_config(), tmp_path / "run")
    for way in ("precision=bfloat16", "remat=stage", "data.loading=streamed"):
        assert f"config.{way}" in str(caught.value)
    assert "\n" not in str(caught.value)
    summary = fit(tiny_config(num_epochs=1, batch_size=64, precision="bfloat16", remat="stage"), tmp_path / "run")
    assert summary["epochs"] == 1
