"""Memory of a step is there for the next one."""

import subprocess
import sys

import pytest

from cnn_jax.runtime.allocator import keep_memory

FAULTS = """
import resource, sys
from cnn_jax.runtime.allocator import keep_memory
if "keep" in sys.argv:
    assert keep_memory()
import jax, jax.numpy as jnp
program = jax.jit(lambda x: jnp.outer(x, x))  # 36 MB: more than malloc may keep by itself
x, counts = jnp.ones(3000), []
for _ in range(30):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    program(x).block_until_ready()
    counts.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(sorted(counts[10:])[10])
"""


def faults(*arguments: str) -> int:
    result = subprocess.run(
        [sys.executable, "-c", FAULTS, *arguments], capture_output=True, text=True, check=True, timeout=120
    )
    return int(result.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux") or "musl" in sys.version.lower(), reason="glibc's malloc")
def test_a_second_step_touches_no_new_pages() -> None:
    assert faults() > 5_000, "if malloc keeps memory by itself, keep_memory is not needed any more"
    assert faults("keep") < 500


def test_it_can_be_called_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: None) -> object:
        return object()

    monkeypatch.setattr("ctypes.CDLL", nothing)
    assert keep_memory() is False
