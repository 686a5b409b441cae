"""Kills and stops training runs at random moments, takes them up again, and compares them with undisturbed ones.

  python tests/faults/kill_runs.py                    30 runs with SIGKILL, 12 with SIGTERM
  python tests/faults/kill_runs.py --runs=100 --stops=0 --seed=7

Every run must end with the same parameters, log and summary, to the bit, and leave no process and no shared memory
behind. The last line says how many did; the exit status is 1 where one did not.
"""

import argparse
import atexit
import collections
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

VARIANTS: dict[str, dict[str, Any]] = {
    "resident, saved by epoch": {},
    "resident, saved every 3 steps": {"checkpoint__unit": "steps", "checkpoint__every": 3},
    "streamed by threads, every 7 steps": {
        "data__loading": "streamed", "data__workers": 0, "checkpoint__unit": "steps", "checkpoint__every": 7
    },
    "streamed by 2 processes, by epoch": {"data__loading": "streamed", "data__workers": 2},
}  # fmt: skip
SHARED = {"num_epochs": 8, "model__filters": (4, 8), "batch_size": 64, "eval_batch_size": 48}
CONFIG = """
import sys
sys.path.insert(0, {root!r})
from tests.support.helpers import tiny_config
def get_config():
    return tiny_config(**{changes!r})
"""


class Watched:
    """A training process in a session of its own."""

    def __init__(self, config: Path, workdir: Path):
        command = [sys.executable, str(ROOT / "scripts/train.py"), f"--config={config}", f"--workdir={workdir}"]
        if OWN_MEMORY is not None:
            script = 'mount --bind "$0" /dev/shm && exec "$@"'
            command = ["unshare", "--mount", "sh", "-c", script, str(OWN_MEMORY), *command]
        paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
        self.workdir = workdir
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=self._errors, start_new_session=True,
            env={**os.environ, "PYTHONPATH": ":".join(filter(None, paths)), "JAX_PLATFORMS": "cpu"},
        )  # fmt: skip

    def until(self, condition: Callable[[], bool], then: float = 0.0) -> bool:
        """Waits for the condition, and a while; False where the process ended before."""
        while self.process.poll() is None:
            if condition():
                time.sleep(then)
                return self.process.poll() is None
            time.sleep(0.001)
        return False

    def end(self, number: int | None = None, timeout: float = 300) -> tuple[int, str, float]:
        """Exit status, what it said, and the seconds it took, after a signal if one is given."""
        if number is not None:
            self.process.send_signal(number)
        began = time.monotonic()
        self.process.wait(timeout)
        took = time.monotonic() - began
        self._errors.seek(0)
        with self._errors:
            return self.process.returncode, self._errors.read(), took

    def left(self) -> list[int]:
        """Processes of its session that are still there ten seconds after its end."""
        deadline = time.monotonic() + 10
        while (found := list(_session(self.process.pid))) and time.monotonic() < deadline:
            time.sleep(0.05)
        return found

    def rows(self) -> int:
        log = self.workdir / "metrics.jsonl"
        return log.read_text().count("\n") if log.exists() else 0

    def writing(self) -> bool:
        return any((self.workdir / "checkpoints").glob("*.orbax-checkpoint-tmp"))


def _session(leader: int) -> Iterator[int]:
    import psutil

    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                yield process.pid
        except (psutil.NoSuchProcess, ProcessLookupError):
            continue


def own_memory() -> Path | None:
    """A folder that a run sees as /dev/shm, so that what it leaves there is told from what others have; needs root."""
    probe = ["unshare", "--mount", "mount", "--bind", "/dev/shm", "/dev/shm"]
    if not shutil.which("unshare") or subprocess.run(probe, capture_output=True).returncode:
        return None
    folder = Path(tempfile.mkdtemp(prefix="cnn_jax-faults-", dir="/dev/shm"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


OWN_MEMORY = own_memory()


def shared_memory_left() -> list[str]:
    """What is still there after ten seconds; nothing is known where others use it too."""
    deadline = time.monotonic() + 10
    while (found := [path.name for path in (OWN_MEMORY or Path(os.devnull)).glob("*")]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def write_config(folder: Path, changes: dict[str, Any]) -> Path:
    path = folder / f"config{len(list(folder.glob('config*.py')))}.py"
    path.write_text(CONFIG.format(root=str(ROOT), changes=changes))
    return path


def to_the_end(config: Path, workdir: Path) -> None:
    status, said, _ = Watched(config, workdir).end()
    assert status == 0, said


def same(first: Path, second: Path, config: Path) -> str:
    """Empty where the two runs are alike to the bit, else what differs."""
    from cnn_jax.config.tree import load_config
    from tests.support.runs import assert_same_run

    try:
        assert_same_run(first, second, load_config(str(config)))
    except AssertionError as error:
        return str(error) or "parameters differ"
    return ""


def moment(choice: random.Random, watched: Watched, whole_rows: int) -> str:
    """Waits for a random moment of the run and tells its kind."""
    kind = choice.choice(("anywhere", "between rows", "while writing", "while writing"))
    rows = watched.rows() + choice.randrange(0, whole_rows)
    if kind == "anywhere":
        watched.until(lambda: True, choice.uniform(0, 8))
    elif kind == "between rows":
        watched.until(lambda: watched.rows() >= rows, choice.uniform(0, 0.3))
    else:
        watched.until(lambda: watched.rows() >= rows and watched.writing(), choice.uniform(0, 0.03))
    return kind


def kill_and_resume(
    config: Path, whole: Path, workdir: Path, kills: int, choice: random.Random
) -> tuple[collections.Counter[str], str]:
    """What was hit, and what is wrong (empty: nothing)."""
    counts: collections.Counter[str] = collections.Counter()
    for _ in range(kills):
        watched = Watched(config, workdir)
        moment(choice, watched, (whole / "metrics.jsonl").read_text().count("\n"))
        status, said, _ = watched.end(signal.SIGKILL)
        counts["kills" if status == -signal.SIGKILL else "too late"] += 1
        counts["kills that left a partial checkpoint"] += watched.writing()
        if left := watched.left():
            return counts, f"processes left: {left}"
        if status not in (0, -signal.SIGKILL):
            return counts, said
        if segments := shared_memory_left():
            return counts, f"shared memory left: {segments}"
    to_the_end(config, workdir)
    if any((workdir / "checkpoints").glob("*tmp*")) or (workdir / "damaged").exists():
        return counts, "something is left in the run directory"
    return counts, same(whole, workdir, config)


PHASES = ("start-up", "first steps", "training or evaluation", "while saving", "at the end")


def stop_and_resume(
    config: Path, whole: Path, workdir: Path, phase: str, number: int, choice: random.Random
) -> tuple[float, str]:
    """Seconds from the signal to the end of the process, and what is wrong."""
    watched = Watched(config, workdir)
    rows = (whole / "metrics.jsonl").read_text().count("\n")
    if phase == "start-up":
        watched.until(lambda: True, 1.5 + choice.uniform(0, 1.0))  # before that Python itself starts
    elif phase == "first steps":
        watched.until((workdir / "environment.json").exists, choice.uniform(0, 1.0))
    elif phase == "while saving":
        watched.until(watched.writing)
    else:
        goal = choice.randrange(1, rows - 2) if phase != "at the end" else rows - 1
        watched.until(lambda: watched.rows() >= goal, choice.uniform(0, 0.1))
    status, said, took = watched.end(number)
    if left := watched.left():
        return took, f"processes left: {left}"
    if status not in (0, 128 + number) or "Traceback" in said or (status and "To go on: " not in said):
        return took, f"status {status}: {said}"
    to_the_end(config, workdir)
    return took, same(whole, workdir, config)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=30, help="killed with SIGKILL, once or twice (default: 30)")
    parser.add_argument("--stops", type=int, default=12, help="stopped with SIGTERM or SIGINT (default: 12)")
    parser.add_argument("--seed", type=int, default=0, help="of the random moments (default: 0)")
    arguments = parser.parse_args()
    choice = random.Random(arguments.seed)
    failures: list[str] = []
    with tempfile.TemporaryDirectory(prefix="cnn_jax-faults-") as name:
        folder = Path(name)
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder / "compiled")
        os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"
        configs = {variant: write_config(folder, {**SHARED, **changes}) for variant, changes in VARIANTS.items()}
        wholes = {variant: folder / f"whole{i}" for i, variant in enumerate(VARIANTS)}
        for variant, config in configs.items():
            to_the_end(config, wholes[variant])
        table: dict[str, collections.Counter[str]] = {variant: collections.Counter() for variant in VARIANTS}
        for i in range(arguments.runs):
            variant = list(VARIANTS)[i % len(VARIANTS)]
            workdir = folder / "run"
            counts, wrong = kill_and_resume(
                configs[variant], wholes[variant], workdir, choice.choice((1, 1, 2)), choice
            )
            print(f"run {i + 1} of {arguments.runs}: {wrong or 'equal'}", file=sys.stderr, flush=True)
            table[variant] += counts + collections.Counter({"runs": 1, "equal to the bit": not wrong})
            failures += [f"{variant}: {wrong}"] if wrong else []
            shutil.rmtree(workdir)
        print(f"{'SIGKILL':<36}runs  kills  in a write  equal to the bit")
        for variant, counts in table.items():
            figures = ("runs", "kills", "kills that left a partial checkpoint", "equal to the bit")
            print(f"{variant:<36}" + "  ".join(f"{counts[figure]:>5}" for figure in figures))
        print(f"\n{'signals':<36}status 128 + n, resumed, equal  seconds to the end")
        for i in range(arguments.stops):
            variant, phase = list(VARIANTS)[i % len(VARIANTS)], PHASES[i % len(PHASES)]
            number = (signal.SIGTERM, signal.SIGTERM, signal.SIGINT)[i % 3]
            took, wrong = stop_and_resume(configs[variant], wholes[variant], folder / "run", phase, number, choice)
            wrong = wrong or ("" if took <= 5 else f"it took {took:.1f} s")
            failures += [f"{number.name} {phase}, {variant}: {wrong}"] if wrong else []
            print(f"{number.name} {phase:<28}{'no' if wrong else 'yes':<32}{took:.2f}")
            shutil.rmtree(folder / "run", ignore_errors=True)
    for failure in failures:
        print(failure)
    total = arguments.runs + arguments.stops
    print(f"{total - len(failures)} of {total} runs came out as if nothing had happened")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
