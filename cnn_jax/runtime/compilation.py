"""Programs are compiled quickly, and once: kept in the user's cache folder, loaded from there the next time."""

import contextlib
import functools
import os
import platform
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from cnn_jax.runtime.folders import cache_folder

_MOST_BYTES = 2 << 30
_OLDEST = 60 * 24 * 3600.0  # seconds
_LEAST_SECONDS = 0.1  # what compiles sooner is not worth a file
_OLDER_EMITTERS = "xla_cpu_use_fusion_emitters"
_EVENT = "/jax/core/compile/backend_compile_duration"


def keep_programs() -> Path | None:
    """The folder in which JAX keeps what it compiles from now on; None where it keeps nothing.

    A folder, or none, that the user has chosen by JAX's own settings stays chosen: `JAX_COMPILATION_CACHE_DIR`,
    `JAX_ENABLE_COMPILATION_CACHE=0`. A folder that cannot be written is as good as none.
    """
    settings: Any = jax.config  # whose attributes are made as JAX starts
    chosen, is_on = settings.jax_compilation_cache_dir, settings.jax_enable_compilation_cache
    if chosen is not None or not is_on:
        return Path(chosen) if chosen and is_on else None
    if jax.default_backend() == "cpu" and _is_refused():
        return None
    folder = cache_folder() / "programs" / _machine()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            return None
        _prune(folder)
    except OSError:
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", _LEAST_SECONDS)
    return folder


def quick_options(platform: str, backend_level: int | None = None) -> dict[str, Any] | None:
    """`compiler_options` for `jax.jit`, with which a program takes about half as long to compile.

    On CPU, XLA's newer code for fusions is what takes LLVM longest. The older one makes programs that run as fast, but
    for those of Winograd's convolution, and that are as exact, but for float64. Whoever names the option in XLA_FLAGS
    has decided.

    Args:
      backend_level: of LLVM's optimisation, 0 to 3, for code that runs once; None: XLA's own.
    """
    if platform != "cpu":
        return None
    options: dict[str, Any] = {} if backend_level is None else {"xla_backend_optimization_level": backend_level}
    if _OLDER_EMITTERS not in os.environ.get("XLA_FLAGS", "") and _is_known(_OLDER_EMITTERS):
        options[_OLDER_EMITTERS] = False
    return options or None


@functools.cache
def _is_known(option: str) -> bool:
    """XLA's options come and go."""
    try:
        jax.jit(lambda: 0, compiler_options={option: False}).lower().compile()
    except jax.errors.JaxRuntimeError:
        return False
    return True


@contextlib.contextmanager
def counted() -> Iterator[Counter[str]]:
    """How often each program was compiled, or loaded in its place, while this lasts: names as in "jit(train_step)"."""
    names: Counter[str] = Counter()
    is_open = True

    def count(event: str, duration_secs: float, **about: Any) -> None:
        if is_open and event == _EVENT:
            names[str(about.get("fun_name", "?"))] += 1

    jax.monitoring.register_event_duration_secs_listener(count)
    try:
        yield names
    finally:
        is_open = False  # JAX has no public way to take a listener away


def _machine() -> str:
    """Of processors that know other instructions: machine code for one may not run on another, nor is it JAX's key."""
    about = platform.machine() + "\n".join(sorted(set(_processor())))
    return f"{platform.machine()}-{zlib.crc32(about.encode()):08x}"


def _is_refused() -> bool:
    """Whether XLA would refuse, with a page of complaints, to load what it has itself compiled for this processor.

    So it is on Intel's, where LLVM is told to prefer no gather (jax#38445, jaxlib 0.10).
    """
    return any("GenuineIntel" in line for line in _processor())


def _processor() -> list[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        return [platform.processor()]
    return [line for line in lines if line.startswith(("vendor_id", "model name", "flags", "Features", "CPU part"))]


def _prune(folder: Path) -> None:
    """Removes what was written long ago, and the oldest of what is too much in all.

    JAX's own limit, `jax_compilation_cache_max_size`, needs filelock; and where a process was killed between writing a
    program and the time beside it, no process ever writes a program to that folder again (jax 0.10.2).
    """
    files = []
    for file in folder.iterdir():
        with contextlib.suppress(OSError):  # another process prunes too
            files.append((file.stat().st_mtime, file.stat().st_size, file))
    total = 0
    for written, size, file in sorted(files, reverse=True):
        total += size
        if total > _MOST_BYTES or written < time.time() - _OLDEST:
            file.unlink(missing_ok=True)
