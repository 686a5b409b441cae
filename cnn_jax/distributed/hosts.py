"""Several hosts as one program: how they find each other, agree, and end together. JAX's own runtime does the work."""

import atexit
import contextlib
import itertools
import os
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from cnn_jax.cli import progress
from cnn_jax.distributed.rendezvous import Rendezvous, is_loopback, name_hosts, rendezvous
from cnn_jax.errors import HostsError, InputError

_HEARTBEAT_SECONDS = 60
_LEAVING_SECONDS = 5
_FOR_EVER = 7 * 86_400  # a host that is gone ends the others long before
_PRIMARY_LEAVES_LATER_SECONDS = 1.0

_meetings: list[Rendezvous] = []  # one at most: a process is one host
# All hosts come to the same places equally often, and no name of a barrier may serve twice.
_gathered, _passed = itertools.count(), itertools.count()


def is_primary() -> bool:
    """Whether this is the host that writes files, logs and lines on the terminal."""
    return index() == 0


def count() -> int:
    """How many hosts there are."""
    return jax.process_count()


def index() -> int:
    """The number of this host."""
    return jax.process_index()


def connect(
    coordinator: str | None = None, num_hosts: int | None = None, host: int | None = None, timeout: float = 300
) -> None:
    """Joins the hosts of a job, before anything is computed; does nothing where there is one, or when done already.

    Args:
      coordinator: HOST:PORT of host 0; with the next two None, what SLURM, Open MPI, GKE or a Cloud TPU says.
      num_hosts: how many there are; 1: only this one, whatever the surroundings say.
      host: the number of this one, from 0.
      timeout: seconds in which all have to come.

    Raises:
      InputError: these cannot be right together.
      HostsError: a host did not come in time; it is named.
    """
    if jax.distributed.is_initialized():
        return
    place = _from_flags(coordinator, num_hosts, host) or (None if num_hosts == 1 else _from_surroundings(timeout))
    if place is None:
        return
    coordinator, num_hosts, host, local_devices = place
    meeting = rendezvous(coordinator, num_hosts, host, timeout)
    # JAX would catch SIGTERM for itself, and keep it; here the loop looks for signals, and hosts agree on when to stop.
    jax.config.update("jax_enable_preemption_service", False)
    name, _, port = coordinator.rpartition(":")
    jax.distributed.initialize(
        coordinator, num_hosts, host,
        local_device_ids=local_devices,
        cluster_detection_method="deactivate",
        coordinator_bind_address=coordinator if is_loopback(name) else f"[::]:{port}",
        initialization_timeout=max(1, round(timeout)),
        heartbeat_timeout_seconds=_HEARTBEAT_SECONDS,
    )  # fmt: skip
    if host > 0:
        progress.be_silent()
    _meetings.append(meeting)
    meeting.watch(partial(_end_without, num_hosts))


@contextlib.contextmanager
def connected(
    coordinator: str | None = None, num_hosts: int | None = None, host: int | None = None, timeout: float = 300
) -> Iterator[None]:
    """Like `connect`; if the body raises on one host, all hosts exit promptly.

    Raises:
      HostsError: see `connect`.
    """
    connect(coordinator, num_hosts, host, timeout)
    try:
        yield
    except BaseException as error:
        if _meetings:
            _leave(error)
        raise
    for meeting in _meetings:
        barrier("the end", _FOR_EVER)  # the primary host writes the summary
        meeting.leave()


def barrier(name: str, timeout: float = 300) -> None:
    """Returns when all hosts have come here.

    Args:
      name: of this place.
      timeout: in seconds.

    Raises:
      HostsError: some have not come in time; they are named.
    """
    missing = _absent(f"{name}/{next(_passed)}", timeout)
    if missing:
        raise HostsError(f"{name_hosts(missing, count())} did not come to '{name}' within {timeout:g} s")


@contextlib.contextmanager
def primary_first(name: str) -> Iterator[None]:
    """Runs the body on the primary host first, then on the others, which find what it left on disk.

    Args:
      name: of this place.
    """
    if not is_primary():
        barrier(name, _FOR_EVER)
    yield
    if is_primary():
        barrier(name, _FOR_EVER)


def all_gather(name: str, value: str) -> list[str]:
    """The values of all hosts, by their number; needs no device, so that it works before anything is computed.

    Args:
      name: of this place.
    """
    from jax._src import distributed

    client = distributed.global_state.client
    if client is None:
        return [value]
    prefix = f"cnn_jax/{name}/{next(_gathered)}"
    client.key_value_set(f"{prefix}/{index()}", value)
    barrier(name, _FOR_EVER)
    return [client.blocking_key_value_get(f"{prefix}/{host}", 10_000) for host in range(count())]


def assert_equal(name: str, value: str, what: str) -> None:
    """Raises InputError on every host unless `value` is the same on all; the message says `what` differs."""
    values = all_gather(name, value)
    others = [host for host, other in enumerate(values) if other != values[0]]
    if others:
        raise InputError(f"{name_hosts(others, count())} {'have' if len(others) > 1 else 'has'} {what} than host 0")


def max_over_hosts(mesh: Mesh) -> Callable[[tuple[int, ...]], Any]:
    """Makes a function from small whole numbers of this host to the largest of all hosts, each by its place.

    All hosts have to call it equally often. On several hosts the result is an array that is still being computed: for
    `jax.device_get`, later. On one host it is the numbers as they are.

    Args:
      mesh: of all devices.
    """
    if count() == 1:
        return lambda values: values
    over_devices = NamedSharding(mesh, PartitionSpec(mesh.axis_names))
    largest = jax.jit(partial(jnp.max, axis=0), out_shardings=NamedSharding(mesh, PartitionSpec()))
    transferred: dict[tuple[int, ...], jax.Array] = {}  # so that the usual zeros are transferred once

    def maximum(values: tuple[int, ...]) -> jax.Array:
        if values not in transferred:
            own = np.tile(np.array(values, np.int32), (len(mesh.local_devices), 1))
            shape = (mesh.size, len(values))
            transferred[values] = jax.make_array_from_process_local_data(over_devices, own, shape)
        result: jax.Array = largest(transferred[values])
        return result

    return maximum


_Place = tuple[str, int, int, list[int] | None]


def _from_flags(coordinator: str | None, num_hosts: int | None, host: int | None) -> _Place | None:
    """Where this host stands by the flags; None without them, or where they say that it is the only one."""
    if num_hosts is not None and num_hosts < 1:
        raise InputError(f"--num_hosts={num_hosts}: must be at least 1")
    if coordinator is None and host is None and num_hosts in (None, 1):
        return None
    flags = {"--coordinator=HOST:PORT": coordinator, "--num_hosts=N": num_hosts, "--host=I": host}
    absent = [flag for flag, value in flags.items() if value is None]
    if absent or coordinator is None or num_hosts is None or host is None:
        raise InputError(
            f"{' and '.join(absent)} must be given too: --coordinator, --num_hosts and --host belong together"
        )
    if not 0 <= host < num_hosts:
        raise InputError(f"--host={host}: must be at least 0 and below --num_hosts={num_hosts}")
    name, _, port = coordinator.rpartition(":")
    if not name or not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65536:
        raise InputError(
            f"--coordinator={coordinator}: must be HOST:PORT, with the name or address of host 0 and a port that is "
            f"free there, 1 to 65535"
        )
    return None if num_hosts == 1 else (coordinator, num_hosts, host, None)


def _from_surroundings(timeout: float) -> _Place | None:
    """Where this host stands by what a cluster's scheduler has set; None outside of one, or in a job of one host."""
    from jax._src.clusters import ClusterEnv  # as jax.distributed.initialize does, which cannot be asked

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a pod that is not part of a job need not have Kubernetes' package
            place = ClusterEnv.auto_detect_unset_distributed_params(
                None, None, None, None, None, max(1, round(timeout))
            )
    except Exception as error:
        raise InputError(
            f"what the cluster says of its hosts cannot be used ({type(error).__name__}: {error}); say it with "
            f"--coordinator=HOST:PORT --num_hosts=N --host=I, or --num_hosts=1 if there is no other"
        ) from error
    coordinator, num_hosts, host, local_devices = place
    if coordinator is None or num_hosts is None or host is None or num_hosts == 1:
        return None
    return coordinator, num_hosts, host, None if local_devices is None else _own_devices(list(local_devices))


def _own_devices(local_devices: list[int]) -> list[int] | None:
    """JAX takes a task of SLURM or Open MPI for one of several on its machine and gives it one GPU.

    A task that is alone there takes all of them; so does one that is shown a single one by its scheduler.
    """
    tasks = os.environ.get("SLURM_STEP_TASKS_PER_NODE") or os.environ.get("OMPI_COMM_WORLD_LOCAL_SIZE") or ""
    alone = re.fullmatch(r"1(\(x\d+\))?", tasks) is not None
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    return None if alone or (shown is not None and "," not in shown) else local_devices


def _absent(name: str, timeout: float) -> list[int]:
    """Who has not come to the barrier in time. The barrier of the distributed runtime needs no device."""
    from jax._src import distributed

    client = distributed.global_state.client
    if client is None:
        return []
    try:
        client.wait_at_barrier(f"cnn_jax/{name}", max(1, round(timeout * 1000)))
    except jax.errors.JaxRuntimeError as error:
        _, _, listed = str(error).partition("Some timed out task names:\n")
        named = [int(number) for number in re.findall(r"(?:^|/task:)(\d+)$", listed.partition("\n\n")[0], re.M)]
        # The runtime does not say who, if it is its own host that does not answer, or that it knew to be dead.
        return named or [int(number) for number in re.findall(r"/task:(\d+)", str(error))] or [0]
    return []


def _end_without(num_hosts: int, gone: int) -> None:
    """Ends this process at once: whatever it waits for will not come."""
    line = (  # on a line of its own: JAX's runtime may be in the middle of one, about the same
        f"\n{Path(sys.argv[0]).name}: host {gone} of {num_hosts} is gone, and the others cannot go on alone; the last "
        f"checkpoint is whole: run the same command again on all hosts\n"
    )
    os.write(2, line.encode(errors="replace"))
    os._exit(HostsError.exit_status)


def _leave(error: BaseException) -> None:
    """Has this process end without the farewell of JAX's runtime, for which hosts wait that cannot come any more.

    Hosts that fail for the same reason come here together and end together; to others, this one is gone.
    """
    if not _absent("leaving", _LEAVING_SECONDS):
        for meeting in _meetings:
            meeting.leave()
    status = getattr(error, "exit_status", 1)
    if isinstance(error, KeyboardInterrupt):
        status = 130
    if isinstance(error, SystemExit):
        status = error.code if isinstance(error.code, int) else int(error.code is not None)

    def end() -> None:
        if is_primary():
            time.sleep(_PRIMARY_LEAVES_LATER_SECONDS)  # JAX aborts hosts whose primary host is gone
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        os._exit(status)

    atexit.register(end)  # what is registered last comes first
