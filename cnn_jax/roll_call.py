"""Who is there, before JAX's distributed runtime starts.

That runtime, if a host is missing, aborts those that came without saying which one it waited for; and it lets nobody
ask before all have come. So the hosts first call at the coordinator's port, which it takes over afterwards.
"""

import contextlib
import selectors
import socket
import time
from collections.abc import Sequence

from cnn_jax.errors import HostsError, InputError

_RETRY_SECONDS = 0.2
_MOST_TEXT = 1 << 24


def call_roll(coordinator: str, num_hosts: int, host: int, timeout: float) -> None:
    """Returns when all hosts have called it.

    Args:
      coordinator: HOST:PORT of host 0.

    Raises:
      HostsError: some did not within `timeout` seconds; they are named.
      InputError: two hosts have one number, they count differently, or the port cannot be opened.
    """
    name, _, port = coordinator.rpartition(":")
    deadline = time.monotonic() + timeout
    if host == 0:
        missing = _Lead(name.strip("[]"), int(port), num_hosts).wait(deadline)
    else:
        missing = _report((name.strip("[]"), int(port)), num_hosts, host, deadline)
    if missing:
        raise HostsError(
            f"{name_hosts(missing, num_hosts)} did not arrive at {coordinator} within {timeout:g} s; look at the first "
            f"error there (--num_hosts=1 trains without other hosts)"
        )


def name_hosts(hosts: Sequence[int], num_hosts: int) -> str:
    """`host 1 of 2`, `hosts 1, 3 of 4`."""
    return f"host{'s' if len(hosts) > 1 else ''} {', '.join(map(str, hosts))} of {num_hosts}"


def is_loopback(name: str) -> bool:
    """Whether only this machine can reach the name."""
    return name.strip("[]") in ("localhost", "::1") or name.startswith("127.")


class _Lead:
    """Host 0: takes calls until all have come, and tells those that came who is missing."""

    def __init__(self, name: str, port: int, num_hosts: int):
        self._name, self._port, self._num_hosts = name, port, num_hosts
        self._arrived: dict[int, socket.socket] = {}
        self._selector = selectors.DefaultSelector()

    def wait(self, deadline: float) -> list[int]:
        """The hosts that are missing at the deadline; none as soon as all have come."""
        with contextlib.ExitStack() as stack:
            server = stack.enter_context(self._open())
            stack.callback(self._selector.close)
            self._selector.register(server, selectors.EVENT_READ)
            try:
                while self._missing() and (left := deadline - time.monotonic()) > 0:
                    for key, _ in self._selector.select(left):
                        if key.fileobj is server:
                            self._accept(server)
                        else:
                            self._read(key.fileobj)  # type: ignore[arg-type]
            finally:
                for key in list(self._selector.get_map().values()):
                    if key.fileobj is not server:
                        key.fileobj.close()  # type: ignore[union-attr]
        return self._missing()

    def _open(self) -> socket.socket:
        try:
            if is_loopback(self._name):
                return socket.create_server((self._name, self._port), family=_family(self._name))
            if socket.has_dualstack_ipv6():
                return socket.create_server(("", self._port), family=socket.AF_INET6, dualstack_ipv6=True)
            return socket.create_server(("", self._port))
        except OSError as error:
            raise InputError(
                f"the coordinator's port {self._port} cannot be opened here ({error.strerror or error}); give another "
                f"one to all hosts with --coordinator=HOST:PORT"
            ) from error

    def _accept(self, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection, _ = server.accept()
            connection.settimeout(1)
            self._selector.register(connection, selectors.EVENT_READ)

    def _read(self, connection: socket.socket) -> None:
        """One line from a host, or its end: a host that goes before all have come is missing again."""
        try:
            host, num_hosts = map(int, connection.recv(64).split())
        except (OSError, ValueError):
            self._arrived = {host: other for host, other in self._arrived.items() if other is not connection}
            self._selector.unregister(connection)
            connection.close()
            return
        if num_hosts != self._num_hosts or not 0 < host < num_hosts or host in self._arrived:
            problem = (
                f"two hosts say that they are host {host} of {num_hosts}; each needs its own number"
                if num_hosts == self._num_hosts
                else f"host 0 counts {self._num_hosts} hosts and another one {num_hosts}; give all the same --num_hosts"
            )
            for other in (*self._arrived.values(), connection):
                _send(other, f"problem {problem}")
            raise InputError(problem)
        self._arrived[host] = connection
        for other in self._arrived.values():
            _send(other, " ".join(["missing", *map(str, self._missing())]))

    def _missing(self) -> list[int]:
        return [host for host in range(1, self._num_hosts) if host not in self._arrived]


def _report(address: tuple[str, int], num_hosts: int, host: int, deadline: float) -> list[int]:
    """Another host: calls until host 0 answers, and waits until it misses nobody; who is missing at the deadline."""
    while (left := deadline - time.monotonic()) > 0:
        with contextlib.suppress(OSError), socket.create_connection(address, timeout=left) as connection:
            _send(connection, f"{host} {num_hosts}")
            missing = _listen(connection, deadline)
            if missing is not None:
                return missing
        time.sleep(min(_RETRY_SECONDS, max(0.0, deadline - time.monotonic())))  # nobody there yet
    return [0]


def _listen(connection: socket.socket, deadline: float) -> list[int] | None:
    """Whom host 0 misses: nobody, or whoever it did at the deadline or when it gave up; None if it never spoke."""
    missing, text = None, ""
    while (left := deadline - time.monotonic()) > 0:
        connection.settimeout(left)
        try:
            received = connection.recv(4096).decode(errors="replace")
        except OSError:
            break
        if not received or len(text) > _MOST_TEXT:
            break
        text += received
        word, _, rest = text.rpartition("\n")[0].rpartition("\n")[2].partition(" ")
        if word == "problem":
            raise InputError(rest)
        if word == "missing":
            missing = [int(number) for number in rest.split() if number.isdigit()]
            if not missing:
                break
    return missing


def _send(connection: socket.socket, line: str) -> None:
    with contextlib.suppress(OSError):  # a host that is gone shows when it is read
        connection.sendall(f"{line}\n".encode())


def _family(name: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in name else socket.AF_INET
