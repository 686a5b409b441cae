"""Who is there: before JAX's distributed runtime starts, and while it runs.

That runtime, if a host is missing, aborts those that came (seen with jax 0.10.2 and 0.12.0.1: SIGABRT and a C++ stack
trace) without saying which one it waited for, and lets nobody ask before all have come. So the hosts first call at the
coordinator's port, which the runtime takes over afterwards. The calls stay open: a process that ends, however it does,
closes them, and the others need not wait for its heartbeats.
"""

import contextlib
import selectors
import socket
import threading
import time
from collections.abc import Callable, Sequence

from cnn_jax.errors import HostsError, InputError

_RETRY_SECONDS = 0.2
_MAX_TEXT = 1 << 24
_OVER = "over\n"  # who waits no longer says so: then all end, and miss the same hosts


class Rendezvous:
    """The open connections: on host 0 those of all others, on the others the one to host 0."""

    def __init__(self, calls: dict[int, socket.socket]):
        self._calls = calls

    def watch(self, on_gone: Callable[[int], None]) -> None:
        """Until `leave`, tells in a thread when a host has gone without saying so."""
        threading.Thread(target=self._watch, args=(on_gone,), daemon=True).start()

    def leave(self) -> None:
        """Tells the others that what they hear no more of this host is no accident."""
        for call in self._calls.values():
            _send(call, "done")

    def close(self) -> None:
        for call in self._calls.values():
            call.close()

    def _watch(self, on_gone: Callable[[int], None]) -> None:
        with selectors.DefaultSelector() as selector:
            for host, call in self._calls.items():
                call.settimeout(None)
                selector.register(call, selectors.EVENT_READ, host)
            while selector.get_map():
                for key, _ in selector.select():
                    said = _receive(self._calls[key.data])
                    words = said.split()
                    if not words:
                        gone = key.data
                    elif words[0] == "gone":
                        gone = int(words[1])
                    else:
                        selector.unregister(key.fileobj)
                        continue
                    for host, call in self._calls.items():
                        if host != gone:
                            _send(call, f"gone {gone}")
                    on_gone(gone)
                    return


def rendezvous(coordinator: str, num_hosts: int, host: int, timeout: float) -> Rendezvous:
    """Returns when all hosts have connected to host 0.

    Args:
      coordinator: HOST:PORT of host 0.

    Raises:
      HostsError: some did not within `timeout` seconds; they are named.
      InputError: two hosts have one number, they count differently, or the port cannot be opened.
    """
    name, _, port = coordinator.rpartition(":")
    deadline = time.monotonic() + timeout
    if host == 0:
        primary = _Primary(name.strip("[]"), int(port), num_hosts)
        missing, calls = primary.wait(deadline), primary.calls
    else:
        missing, calls = _report((name.strip("[]"), int(port)), num_hosts, host, deadline)
    if missing:
        raise HostsError(
            f"{name_hosts(missing, num_hosts)} did not arrive at {coordinator} within {timeout:g} s; look at the first "
            f"error there (--num_hosts=1 trains without other hosts)"
        )
    return Rendezvous(calls)


def name_hosts(hosts: Sequence[int], num_hosts: int) -> str:
    """`host 1 of 2`, `hosts 1, 3 of 4`."""
    return f"host{'s' if len(hosts) > 1 else ''} {', '.join(map(str, hosts))} of {num_hosts}"


def is_loopback(name: str) -> bool:
    """Whether only this machine can reach the name."""
    return name.strip("[]") in ("localhost", "::1") or name.startswith("127.")


class _Primary:
    """Host 0: takes calls until all have come, and tells those that came who is missing."""

    def __init__(self, name: str, port: int, num_hosts: int):
        self._name, self._port, self._num_hosts = name, port, num_hosts
        self.calls: dict[int, socket.socket] = {}
        self._over = False
        self._selector = selectors.DefaultSelector()

    def wait(self, deadline: float) -> list[int]:
        """The hosts that are missing at the deadline; none as soon as all have come."""
        with self._open() as server, self._selector:
            self._selector.register(server, selectors.EVENT_READ)
            try:
                while self._missing() and not self._over and (left := deadline - time.monotonic()) > 0:
                    for key, _ in self._selector.select(left):
                        if key.fileobj is server:
                            self._accept(server)
                        else:
                            self._read(key.fileobj)  # type: ignore[arg-type]
            finally:
                wanted = [] if self._missing() else list(self.calls.values())
                for key in self._selector.get_map().values():
                    if key.fileobj not in (server, *wanted):
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
                f"one to all hosts with --coordinator=HOST:PORT, or this one another --host if host 0 runs here already"
            ) from error

    def _accept(self, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection, _ = server.accept()
            connection.settimeout(1)
            self._selector.register(connection, selectors.EVENT_READ)

    def _read(self, connection: socket.socket) -> None:
        """One line from a host, or its end: a host that goes before all have come is missing again."""
        said = _receive(connection)
        if said == _OVER:
            self._over = True
            return
        try:
            host, num_hosts = map(int, said.split())
        except ValueError:
            self.calls = {host: other for host, other in self.calls.items() if other is not connection}
            self._selector.unregister(connection)
            connection.close()
            return
        if num_hosts != self._num_hosts or not 0 < host < num_hosts or host in self.calls:
            problem = (
                f"two hosts say that they are host {host} of {num_hosts}; each needs its own number"
                if num_hosts == self._num_hosts
                else f"host 0 counts {self._num_hosts} hosts and another one {num_hosts}; give all the same --num_hosts"
            )
            for other in (*self.calls.values(), connection):
                _send(other, f"problem {problem}")
            raise InputError(problem)
        self.calls[host] = connection
        for other in self.calls.values():
            _send(other, " ".join(["missing", *map(str, self._missing())]))

    def _missing(self) -> list[int]:
        return [host for host in range(1, self._num_hosts) if host not in self.calls]


def _report(
    address: tuple[str, int], num_hosts: int, host: int, deadline: float
) -> tuple[list[int], dict[int, socket.socket]]:
    """Another host: calls until host 0 answers, and waits until it misses nobody; who is missing, and the call."""
    while (left := deadline - time.monotonic()) > 0:
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            connection = stack.enter_context(socket.create_connection(address, timeout=left))
            _send(connection, f"{host} {num_hosts}")
            missing = _listen(connection, deadline)
            if missing == []:
                stack.pop_all()
                return [], {0: connection}
            if missing:
                return missing, {}
        time.sleep(min(_RETRY_SECONDS, max(0.0, deadline - time.monotonic())))  # nobody there yet
    return [0], {}


def _listen(connection: socket.socket, deadline: float) -> list[int] | None:
    """Whom host 0 misses: nobody, or whoever it did at the deadline or when it gave up; None if it never spoke."""
    missing, text = None, ""
    while (left := deadline - time.monotonic()) > 0:
        connection.settimeout(left)
        received = _receive(connection)
        if not received or len(text) > _MAX_TEXT:
            break
        text += received
        word, _, rest = text.rpartition("\n")[0].rpartition("\n")[2].partition(" ")
        if word == "problem":
            raise InputError(rest)
        if word == "missing":
            missing = [int(number) for number in rest.split() if number.isdigit()]
            if not missing:
                return []
    _send(connection, _OVER.strip())
    return missing


def _receive(connection: socket.socket) -> str:
    """What was said; nothing where the other end is closed, or the time is over."""
    try:
        return connection.recv(4096).decode(errors="replace")
    except OSError:
        return ""


def _send(connection: socket.socket, line: str) -> None:
    with contextlib.suppress(OSError):  # a host that is gone shows when it is read
        connection.sendall(f"{line}\n".encode())


def _family(name: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in name else socket.AF_INET
