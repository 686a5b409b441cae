"""How much memory decoded images may take."""

import os
from pathlib import Path
from typing import Any

# On CPU a training split is held twice for a while; the rest is for the network and what the loop works with.
_SHARE = 1 / 3


def bytes_at_hand() -> int:
    """A third of what is free now on the host (or left under its control group's limit) and on its devices."""
    return int(_SHARE * min(host_bytes(), _device_bytes()))


def cores() -> int:
    """How many cores this process may use, which a batch system may have limited."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def host_bytes() -> float:
    """What is free now on the host, or left under its control group's limit."""
    import psutil

    available = float(psutil.virtual_memory().available)
    group = Path("/sys/fs/cgroup")
    limit, used = _number(group / "memory.max"), _number(group / "memory.current")
    if limit is not None and used is not None:
        # What the kernel keeps of files it gives back on demand.
        available = min(available, limit - used + (_inactive_file(group / "memory.stat") or 0))
    return available


def _device_bytes() -> float:
    """Without bound for devices that share the host's memory."""
    import jax

    own = jax.local_devices()
    statistics = own[0].memory_stats()
    if not statistics or "bytes_limit" not in statistics:
        return float("inf")
    return float(len(own) * (statistics["bytes_limit"] - statistics.get("bytes_in_use", 0)))


def free_device_bytes(device: Any) -> float:
    """What a device has left; of one that shares the host's memory, its part of what is free there."""
    statistics = device.memory_stats()
    if statistics and "bytes_limit" in statistics:
        return float(statistics["bytes_limit"] - statistics.get("bytes_in_use", 0))
    import jax

    return host_bytes() / len(jax.local_devices())


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # no such limit: "max"
        return None


def _inactive_file(path: Path) -> int | None:
    try:
        lines = path.read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))
    except (OSError, ValueError, StopIteration):
        return None
