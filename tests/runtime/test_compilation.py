"""What is compiled, how often, and where it is kept."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.experiment import compile as programs
from cnn_jax.experiment.fitting import fit
from cnn_jax.experiment.setup import build
from cnn_jax.runtime import compilation
from cnn_jax.runtime.compilation import counted, keep_programs, quick_options
from tests.support.helpers import HAS_OLDER_EMITTERS, ROOT, tiny_config

COUNT = """
import sys, jax
from collections import Counter
from cnn_jax.runtime.compilation import counted
events = Counter()
jax.monitoring.register_event_listener(lambda name, **about: events.update([name]))
sys.path.insert(0, {root!r})
from tests.support.helpers import tiny_config
from cnn_jax.experiment import build, initial_state
with counted() as names:
    initial_state(build(tiny_config()))
print(events["/jax/compilation_cache/cache_hits"], jax.config.jax_compilation_cache_dir, names["jit(init_state)"])
"""


def test_one_program_for_training_and_one_for_evaluation(tmp_path: Path, no_pictures: None) -> None:
    with counted() as names:
        fit(tiny_config(num_epochs=3, batch_size=100), tmp_path / "run")  # the last batches of splits are shorter
    assert names["jit(program)"] == names["jit(eval_step)"] == names["jit(init_state)"] == 1
    assert names.total() <= 6, names
    jax.jit(lambda x: x + len(names))(1.0)
    assert names.total() <= 6, "what came after is not counted"


def test_programs_for_a_cpu_are_compiled_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=8")
    assert quick_options("gpu") is quick_options("tpu", 0) is None
    older = {"xla_cpu_use_fusion_emitters": False} if HAS_OLDER_EMITTERS else {}
    assert quick_options("cpu") == (older or None)
    assert quick_options("cpu", 0) == {"xla_backend_optimization_level": 0, **older}
    x = jnp.linspace(-1, 1, 100).reshape(10, 10)

    def some(x: jax.Array) -> jax.Array:
        return jnp.tanh(x @ x).sum(0, keepdims=True) * x

    quick = jax.jit(some, compiler_options=quick_options("cpu"))
    np.testing.assert_allclose(quick(x), jax.jit(some)(x), rtol=1e-6)
    assert not compilation._is_known("xla_of_another_time")
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=true")
    assert quick_options("cpu") is None


def test_but_those_that_go_by_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XLA_FLAGS", "")

    def options(**changes: Any) -> Any:
        changes = {"data__source": "synthetic", "data__image_size": (32, 32), "parallel__devices": 1} | changes
        config = tiny_config(**changes)
        return programs._compiler_options(build(config), config.batch_size)

    assert options(model__filters=(32, 64), batch_size=16) == quick_options("cpu")  # too little work
    assert options(model__filters=(32, 64), batch_size=64) is None
    assert options(model__filters=(16, 64), batch_size=64) == quick_options("cpu")  # too few channels


def chosen_folder() -> Any:
    settings: Any = jax.config
    return settings.jax_compilation_cache_dir


def in_a_process(tmp_path: Path) -> list[str]:
    code = COUNT.format(root=str(ROOT))
    own = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_COMP", "JAX_PERS"))}
    result = subprocess.run(
        [sys.executable, "-c", code], env={**own, "XDG_CACHE_HOME": str(tmp_path / "cache")},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()[-1].split()


@pytest.mark.skipif(compilation._is_refused(), reason="XLA does not load what it compiled for this processor")
def test_the_second_run_loads_what_the_first_compiled(tmp_path: Path) -> None:
    first, second = in_a_process(tmp_path), in_a_process(tmp_path)
    assert first[0] == "0"
    assert int(second[0]) >= 1
    assert first[1] == second[1]
    assert Path(first[1]).parent == tmp_path / "cache/cnn_jax/programs"
    assert first[2] == second[2] == "1"


def test_what_the_user_chose_stays() -> None:
    chosen = os.environ["JAX_COMPILATION_CACHE_DIR"]  # by tests/conftest.py
    assert keep_programs() == Path(chosen)
    assert chosen_folder() == chosen
    jax.config.update("jax_enable_compilation_cache", False)
    try:
        assert keep_programs() is None
    finally:
        jax.config.update("jax_enable_compilation_cache", True)


def test_a_folder_that_cannot_be_written_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cnn_jax").write_text("a file where a folder should be")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(compilation, "_is_refused", lambda: False)
    before = chosen_folder()
    jax.config.update("jax_compilation_cache_dir", None)
    try:
        assert keep_programs() is None
        assert chosen_folder() is None
    finally:
        jax.config.update("jax_compilation_cache_dir", before)


def test_old_programs_and_too_many_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilation, "_MOST_BYTES", 250)
    for i, days in enumerate((1, 2, 3, 100)):
        (tmp_path / str(i)).write_bytes(b"x" * 100)
        os.utime(tmp_path / str(i), (time.time() - days * 86_400,) * 2)
    compilation._prune(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["0", "1"]


def test_processors_of_other_instructions_share_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def machine(*lines: str) -> str:
        monkeypatch.setattr(compilation, "_processor", lambda: list(lines))
        return compilation._machine()

    assert machine("flags : avx avx2", "flags : avx avx2") == machine("flags : avx avx2")
    assert machine("flags : avx avx2") != machine("flags : avx avx2 avx512f")
    assert compilation._is_refused() is False
    machine("vendor_id : GenuineIntel")
    assert compilation._is_refused() is True
