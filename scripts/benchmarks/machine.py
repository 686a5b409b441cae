"""Which machine this is, and how much of it others took meanwhile."""

import os
import platform
import resource
import time
from collections.abc import Callable
from pathlib import Path

_STAT, _CPUINFO = Path("/proc/stat"), Path("/proc/cpuinfo")
_WAITING = (3, 4)  # idle, and waiting for a disk; of Linux's seven or more kinds of time, proc(5)
_GUESTS = 8  # the kinds from here on are counted twice


def describe_machine() -> str:
    """The processor's name and the cores that this process may use."""
    lines = _CPUINFO.read_text().splitlines() if _CPUINFO.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    cores = _cores()
    return f"{names[0] if names else platform.processor() or platform.machine()}, {cores} core{'s' * (cores > 1)}"


def watch_others() -> Callable[[], float | None]:
    """A function that says which share of all cores' time others have taken since this call; None where nobody counts.

    What this process and its children did is not counted; children count once they have ended.
    """
    start, before, own = time.perf_counter(), _busy_seconds(), _own_seconds()

    def share() -> float | None:
        now = _busy_seconds()
        if before is None or now is None:
            return None
        taken = (now - before) - (_own_seconds() - own)
        return max(taken, 0.0) / ((time.perf_counter() - start) * (os.cpu_count() or 1))

    return share


def _busy_seconds() -> float | None:
    """Of all cores and all processes, since the machine started; what a host takes of a virtual one, too."""
    if not _STAT.is_file():
        return None
    ticks = [int(word) for word in _STAT.read_text().splitlines()[0].split()[1:]][:_GUESTS]
    return sum(each for kind, each in enumerate(ticks) if kind not in _WAITING) / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> float:
    each = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in each)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
