"""How a contestant is told what to time, and answers: JSON lines; of Python's own parts only, for any interpreter."""

import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Call = Callable[[], None]


def serve(calls: Mapping[str, Call], about: Mapping[str, Any], program: Callable[[], int | None]) -> None:
    """Makes each call twice, says `about` and the seconds of the first ones; then answers lines until there are none.

    "CALL SECONDS" is answered with the milliseconds of a call, the mean over so many seconds, "CALL SECONDS cpu" with
    those that processors have worked on it, in all threads; "memory" with the bytes that the process has held at most,
    and those that `program` says.

    Args:
      calls: by name; each returns when its results are there.
    """
    first = {name: timed(call, 0.0) for name, call in calls.items()}
    for call in calls.values():
        call()
    print(json.dumps({**about, "first_ms": first}), flush=True)
    for line in sys.stdin:
        name, *settings = line.split()
        if settings:
            clock = time.process_time if settings[1:] == ["cpu"] else time.perf_counter
            print(json.dumps(timed(calls[name], float(settings[0]), clock)), flush=True)
        else:
            print(json.dumps({"peak": peak_bytes(), "program": program()}), flush=True)


def timed(call: Call, seconds: float, clock: Callable[[], float] = time.perf_counter) -> float:
    """Milliseconds of a call."""
    start, count = clock(), 0
    while count == 0 or clock() - start < seconds:
        call()
        count += 1
    return (clock() - start) / count * 1e3


def peak_bytes() -> int:
    """The most memory that this process has held so far.

    Linux's own account: what getrusage() says there begins with the peak of the process that started this one.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024
    except (OSError, StopIteration):
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
