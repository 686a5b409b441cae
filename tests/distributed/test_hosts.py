"""Several hosts as one program: they find each other, agree, and end together, all in bounded time."""

import re
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import jax
import pytest
from jax.sharding import Mesh

from cnn_jax.distributed import hosts
from cnn_jax.distributed.rendezvous import Rendezvous, rendezvous
from cnn_jax.errors import HostsError, InputError
from tests.support.processes import DEVICES_EACH, Ended, Variables, by_flags, ended, free_port, own_lines, start

WORKER = "tests/tools/host.py"


def slurm(host: int, count: int, port: int) -> Variables:
    return {
        "SLURM_JOB_ID": "4711", "SLURM_STEP_NODELIST": "127.0.0.1", "SLURM_NTASKS": str(count),
        "SLURM_PROCID": str(host), "SLURM_LOCALID": str(host), "JAX_COORDINATOR_PORT": str(port),
    }  # fmt: skip


def open_mpi(host: int, count: int, port: int) -> Variables:
    return {
        "OMPI_MCA_orte_hnp_uri": "1531576320.0;tcp://127.0.0.1:34911", "OMPI_COMM_WORLD_SIZE": str(count),
        "OMPI_COMM_WORLD_RANK": str(host), "OMPI_COMM_WORLD_LOCAL_RANK": str(host), "JAX_COORDINATOR_PORT": str(port),
    }  # fmt: skip


def job(what: str, count: int = 2, present: tuple[int, ...] | None = None, *more: str) -> list[Ended]:
    flags = by_flags(count)
    return ended([start(WORKER, what, *flags[host], *more) for host in present or range(count)])


def joined(results: list[Ended]) -> list[str]:
    return [line for result in results for line in re.findall("^JOINED (.*)$", result.err, re.M)]


ALL_OF_TWO = [f"{host} 2 {host == 0} {2 * DEVICES_EACH} 0 15 0 7" for host in range(2)]


def test_by_flags_and_ask_gives_the_largest_of_all_hosts() -> None:
    results = job("nothing")
    assert [result.status for result in results] == [0, 0], results
    assert joined(results) == ALL_OF_TWO


@pytest.mark.parametrize("surroundings", [slurm, open_mpi])
def test_by_what_a_scheduler_says(surroundings: Callable[[int, int, int], Variables]) -> None:
    port = free_port()
    results = ended([start(WORKER, "nothing", **surroundings(host, 2, port)) for host in range(2)])
    assert [result.status for result in results] == [0, 0], results
    assert joined(results) == ALL_OF_TWO


@pytest.mark.parametrize(("count", "num_hosts"), [(1, None), (2, 1)])
def test_a_job_of_one_is_no_job(count: int, num_hosts: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in slurm(0, count, free_port()).items():
        monkeypatch.setenv(name, value)
    with hosts.connected(num_hosts=num_hosts):  # the flag counts more than what the scheduler says
        assert not jax.distributed.is_initialized()
        assert (hosts.index(), hosts.count(), hosts.is_primary()) == (0, 1, True)
        assert hosts.max_over_hosts(Mesh(jax.devices(), ("data",)))((7, 0)) == (7, 0)
        hosts.barrier("alone", 0.1)


def test_missing_hosts_are_named() -> None:
    before = time.monotonic()
    results = job("nothing", 3, (0, 2), "--timeout=6")
    assert time.monotonic() - before < 200
    for result in results:
        assert result.status == 75
        [line] = own_lines(result.err, "host.py")
        assert "host 1 of 3 did not arrive at 127.0.0.1:" in line
        assert "within 6 s" in line
        assert "Traceback" not in result.err
        assert "***" not in result.err


def test_a_host_that_is_killed_ends_the_others() -> None:
    other, killed = job("killed")
    assert (killed.status, other.status) == (128 + signal.SIGTERM, 75)
    assert "host 1 of 2 is gone" in own_lines(other.err, "host.py")[0]


def test_a_lead_that_is_killed_ends_the_others() -> None:
    killed, other = job("lead_killed")
    assert killed.status == -signal.SIGKILL
    # JAX's own end, an abort, may be the quicker one.
    assert other.status == -signal.SIGABRT or "host 0 of 2 is gone" in own_lines(other.err, "host.py")[0]


def test_a_host_that_fails_alone_says_why_and_ends_the_others() -> None:
    other, failed = job("one_fails")
    assert (failed.status, own_lines(failed.err, "host.py")) == (2, ["host.py: a picture is gone"])
    assert other.status == 75
    assert "host 1 of 2 is gone" in own_lines(other.err, "host.py")[0]


def test_hosts_that_end_for_one_reason_end_alike() -> None:
    results = job("all_stop")
    assert [result.status for result in results] == [143, 143]
    assert not any("is gone" in result.err or "***" in result.err for result in results)


def test_a_barrier_names_who_did_not_come() -> None:
    on_time, late = job("barrier")
    assert (on_time.status, late.status) == (75, 75)
    assert own_lines(on_time.err, "host.py") == ["host.py: host 1 of 2 did not come to 'the data' within 1 s"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((None, 2, None), r"--coordinator=HOST:PORT and --host=I must be given too"),
        ((None, None, 0), r"--coordinator=HOST:PORT and --num_hosts=N must be given too"),
        (("there:1", None, None), r"--num_hosts=N and --host=I must be given too"),
        (("there:1", 2, 2), r"--host=2: must be at least 0 and below --num_hosts=2"),
        (("there:1", 2, -1), r"--host=-1"),
        (("there:1", 0, 0), r"--num_hosts=0: must be at least 1"),
        (("there", 2, 0), r"--coordinator=there: must be HOST:PORT"),
        (("there:", 2, 0), r"--coordinator=there:: must be HOST:PORT"),
        (("there:http", 2, 0), r"must be HOST:PORT"),
        (("there:70000", 2, 0), r"must be HOST:PORT"),
    ],
)
def test_flags_that_cannot_be_right(arguments: tuple[str | None, int | None, int | None], said: str) -> None:
    with pytest.raises(InputError, match=said):
        hosts.connect(*arguments)


def test_what_a_scheduler_says_wrongly(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**slurm(0, 2, 1), "SLURM_NTASKS": "many"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=r"'many'.*say it with --coordinator=HOST:PORT"):
        hosts.connect()


@pytest.mark.parametrize(
    ("variables", "own"),
    [
        ({}, [1]),
        ({"SLURM_STEP_TASKS_PER_NODE": "8(x2)"}, [1]),
        ({"SLURM_STEP_TASKS_PER_NODE": "1(x16)"}, None),
        ({"SLURM_STEP_TASKS_PER_NODE": "1"}, None),
        ({"OMPI_COMM_WORLD_LOCAL_SIZE": "1"}, None),
        ({"CUDA_VISIBLE_DEVICES": "3"}, None),
        ({"CUDA_VISIBLE_DEVICES": "0,1"}, [1]),
    ],
)
def test_a_task_takes_one_gpu_or_all(monkeypatch: pytest.MonkeyPatch, variables: Variables, own: object) -> None:
    for name in ("SLURM_STEP_TASKS_PER_NODE", "OMPI_COMM_WORLD_LOCAL_SIZE", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert hosts._own_devices([1]) == own


def called(calls: list[tuple[int, int]], timeout: float = 5) -> list[object]:
    """What each call, (host, number of hosts), gave."""
    port = free_port()
    results: list[object] = [None] * len(calls)

    def call(place: int) -> None:
        host, count = calls[place]
        try:
            results[place] = rendezvous(f"127.0.0.1:{port}", count, host, timeout)
        except Exception as error:
            results[place] = error

    threads = [threading.Thread(target=call, args=(place,)) for place in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_a_roll_of_many_that_come_in_any_order() -> None:
    meetings = called([(host, 9) for host in (4, 1, 8, 3, 2, 0, 7, 6, 5)])
    for meeting in meetings:
        assert isinstance(meeting, Rendezvous)
        meeting.close()


def test_the_roll_tells_who_went_without_a_word() -> None:
    meetings = called([(0, 4), (1, 4), (2, 4), (3, 4)])
    gone: dict[int, list[int]] = {0: [], 1: [], 2: [], 3: []}
    for host, meeting in enumerate(meetings):
        assert isinstance(meeting, Rendezvous)
        meeting.watch(gone[host].append)
    meetings[1].leave()  # type: ignore[attr-defined]
    meetings[2]._calls[0].shutdown(socket.SHUT_RDWR)  # type: ignore[attr-defined]
    deadline = time.monotonic() + 60
    while not (gone[0] and gone[3]) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert (gone[0], gone[3]) == ([2], [2])
    for meeting in meetings:
        meeting.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("present", "missing"),
    [((0, 2), "host 1 of 3"), ((1,), "host 0 of 3"), ((0,), "hosts 1, 2 of 3"), ((1, 2), "host 0 of 3")],
)
def test_a_roll_in_which_some_are_missing(present: tuple[int, ...], missing: str) -> None:
    for error in called([(host, 3) for host in present], 1):
        assert isinstance(error, HostsError)
        assert str(error).startswith(f"{missing} did not arrive at 127.0.0.1:")


@pytest.mark.parametrize(
    ("calls", "said"),
    [
        ([(0, 4), (1, 4), (1, 4)], "two hosts say that they are host 1 of 4"),
        ([(0, 3), (1, 3), (2, 4)], "host 0 counts 3 hosts and another one 4"),
    ],
)
def test_hosts_that_contradict_each_other(calls: list[tuple[int, int]], said: str) -> None:
    errors = called(calls)
    assert all(isinstance(error, InputError | HostsError) for error in errors)  # who calls late finds nobody any more
    assert isinstance(errors[0], InputError)
    assert said in str(errors[0])


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(InputError, match=f"port {port} cannot be opened here .*in use"):
            rendezvous(f"127.0.0.1:{port}", 2, 0, 1)


def test_strangers_at_the_port_do_no_harm() -> None:
    port, results = free_port(), []

    def lead() -> None:
        try:
            results.append(rendezvous(f"127.0.0.1:{port}", 2, 0, 2))
        except HostsError as error:
            results.append(error)

    thread = threading.Thread(target=lead)
    thread.start()
    for said in (b"GET / HTTP/1.1\r\n\r\n", b"\xff\xfe\n", b"", b"1" * 5000):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                with socket.create_connection(("127.0.0.1", port)) as stranger:
                    stranger.sendall(said)
                break
            except OSError:
                time.sleep(0.01)
    thread.join()
    assert "host 1 of 2 did not arrive" in str(results[0])


def test_processes_that_start_with_one_cold_cache(tmp_path: Path) -> None:
    processes = [start(WORKER, "cold", XDG_CACHE_HOME=str(tmp_path)) for _ in range(3)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    results = ended(processes)
    assert [result.status for result in results] == [0] * 3, results
    assert results[0].out
    assert len({result.out for result in results}) == 1
    names = [path.name for path in (tmp_path / "cnn_jax").rglob("*")]
    assert not any(name.startswith(".writing") or name.endswith(".tmp") for name in names), names
