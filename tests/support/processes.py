"""Several processes at once, as the hosts of one job; each in its own few virtual devices, on loopback."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.support.helpers import ROOT

DEVICES_EACH = 4


class Ended(NamedTuple):
    status: int
    out: str
    err: str


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(devices: int = DEVICES_EACH, **more: str) -> dict[str, str]:
    """This process's, without what would say that it is a task of some cluster's job."""
    job = ("SLURM_", "OMPI_", "TPU_", "MEGASCALE_")
    own = {name: value for name, value in os.environ.items() if not name.startswith(job)}
    flags = f"{own.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
    return {**own, "XLA_FLAGS": flags, "PYTHONPATH": f"{ROOT}:{ROOT}/tests", "JAX_PLATFORMS": "cpu", **more}


def start(
    script: Path | str, *arguments: str | Path, devices: int = DEVICES_EACH, **more: str
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(ROOT / script), *map(str, arguments)], env=environment(devices, **more),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def ended(processes: Sequence[subprocess.Popen[str]], timeout: float = 120) -> list[Ended]:
    """How they ended; what has not within the time is killed, and fails the test."""
    deadline = time.monotonic() + timeout
    results = []
    try:
        for process in processes:
            out, err = process.communicate(timeout=max(0.1, deadline - time.monotonic()))
            results.append(Ended(process.returncode, out, err))
    finally:
        for process in processes:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.wait()
    return results


def by_flags(count: int, port: int | None = None) -> list[list[str]]:
    """The flags of each host of a job."""
    coordinator = f"--coordinator=127.0.0.1:{port or free_port()}"
    return [[coordinator, f"--num_hosts={count}", f"--host={host}"] for host in range(count)]


def own_lines(err: str, script: str) -> list[str]:
    """What the program itself said in the end, among what C++ libraries log."""
    return [line for line in err.splitlines() if line.startswith(f"{script}: ")]


Variables = Mapping[str, str]
