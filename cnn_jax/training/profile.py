"""A trace of some training steps, for xprof and Perfetto."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax

from cnn_jax.cli.progress import announce
from cnn_jax.distributed import hosts

Step = Callable[[Any, Any], tuple[Any, Any]]

WARM_UP = 5  # calls that compile, fill caches and queues


@contextlib.contextmanager
def profiled(train_step: Step, folder: Path, calls: int, warm_up: int = WARM_UP) -> Iterator[Step]:
    """A training step that does what the given one does, and traces some of its calls.

    The first `warm_up` calls are left alone; the next `calls` are traced, or as many as there are when the context
    ends, however it ends. A trace that cannot be made or written is said, and training goes on without it.

    Args:
      train_step: (state, work) -> (state, sums), compiled.
      folder: receives `plugins/profile/TIME/` with `*.xplane.pb` and `perfetto_trace.json.gz`. Of several hosts only
        the first one traces its own devices.
      calls: 0 traces nothing.
    """
    if calls < 1 or not hosts.is_primary():
        yield train_step
        return
    trace = _Trace(folder, calls, warm_up)

    def step(state: Any, work: Any) -> tuple[Any, Any]:
        trace.before(state)
        with jax.profiler.StepTraceAnnotation("train", step_num=trace.made):
            result = train_step(state, work)
        trace.after(result)
        return result

    try:
        yield step
    finally:
        trace.close()


class _Trace:
    """Where tracing stands: `made` calls so far."""

    def __init__(self, folder: Path, calls: int, warm_up: int):
        self._folder, self._first, self._end = folder, warm_up, warm_up + calls
        self._running = self._done = False
        self._last: Any = None
        self.made = 0

    def before(self, state: Any) -> None:
        if self.made == self._first and not self._done:
            jax.block_until_ready(state)  # what was dispatched before is none of its
            with self._unless_it_fails():
                self._folder.mkdir(parents=True, exist_ok=True)
                options = jax.profiler.ProfileOptions()
                options.python_tracer_level = 0  # it would slow down what is measured
                jax.profiler.start_trace(self._folder, create_perfetto_trace=True, profiler_options=options)
                self._running = True

    def after(self, result: Any) -> None:
        self.made += 1
        if self._running:
            self._last = result
            if self.made == self._end:
                self.close()

    def close(self) -> None:
        if self._running:
            self._running, self._done = False, True
            with contextlib.suppress(Exception):  # an error of the step is the loop's to report
                jax.block_until_ready(self._last)
            self._last = None
            with self._unless_it_fails():
                jax.profiler.stop_trace()
                announce(
                    f"traced {self.made - self._first} calls of the training step into {self._folder}; to look at it: "
                    f"xprof --logdir={self._folder} (pip install xprof), or perfetto_trace.json.gz in "
                    f"https://ui.perfetto.dev"
                )
        elif not self._done:
            self._done = True
            announce(f"nothing was traced: tracing begins after {self._first} calls of the training step")

    @contextlib.contextmanager
    def _unless_it_fails(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # whatever the profiler, its drivers and the disk raise
            self._done = True
            reason = " ".join(str(error).split())
            announce(f"no trace: {reason}; training goes on")
