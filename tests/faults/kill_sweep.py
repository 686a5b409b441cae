"""Kills a real sweep in its middle, runs it again, and looks whether anything is missing or was done twice.

  python tests/faults/kill_sweep.py                    12 trials on the digits, --jobs=2, one SIGKILL
  python tests/faults/kill_sweep.py --kills=3 --seed=7

Every trial must finish, none may be trained twice from its start, no process may be left, and the report is made. The
exit status is 1 where that is not so.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Sweep:
    """The script in a session of its own."""

    def __init__(self, file: Path, workdir: Path):
        command = [sys.executable, "scripts/sweep.py", f"--sweep={file}", f"--workdir={workdir}", "--jobs=2"]
        self.workdir = workdir
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
        )  # fmt: skip

    def ended(self) -> set[Path]:
        """The run directories that have their summary."""
        return {path.parent for path in self.workdir.glob("trials/*/summary.json")}


def trials_left(workdir: Path) -> list[int]:
    """Processes with a run directory of the sweep in their command that are there after half a minute."""
    import psutil

    deadline = time.monotonic() + 30
    while True:
        found = []
        for process in psutil.process_iter(["cmdline"]):
            words = process.info["cmdline"] or []
            if any(word.startswith(f"--workdir={workdir}/trials/") for word in words):
                found.append(process.pid)
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sweep", type=Path, default=ROOT / "configs/sweeps/digits_quick.yaml", metavar="FILE")
    parser.add_argument("--kills", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0, help="of the random moments (default: 0)")
    arguments = parser.parse_args()
    choice, failures = random.Random(arguments.seed), []
    with tempfile.TemporaryDirectory(prefix="cnn_jax-faults-") as name:
        workdir, began = Path(name) / "sweep", time.monotonic()
        stamps: dict[Path, int] = {}
        for kill in range(arguments.kills):
            sweep = Sweep(arguments.sweep, workdir)
            goal = len(sweep.ended()) + choice.randint(2, 5)
            while sweep.process.poll() is None and len(sweep.ended()) < goal:
                time.sleep(0.02)
            time.sleep(choice.uniform(0, 3))
            sweep.process.send_signal(signal.SIGKILL)
            sweep.process.communicate()
            if left := trials_left(workdir):
                failures.append(f"processes left: {left}")
            stamps |= {path: (path / "summary.json").stat().st_mtime_ns for path in sweep.ended()}
            print(f"kill {kill + 1}: {len(sweep.ended())} trials had their summary", flush=True)
        last = Sweep(arguments.sweep, workdir)
        said, _ = last.process.communicate()
        print(f"{said}\n{time.monotonic() - began:.0f} s in all, exit status {last.process.returncode}")
        rows = json.loads((workdir / "sweep.json").read_text())["trials"]
        if last.process.returncode or {row["state"] for row in rows} != {"finished"}:
            failures.append("not all trials finished")
        if len({row["number"] for row in rows}) != len(rows) or len(last.ended()) != len(rows):
            failures.append("trials and run directories do not agree")
        again = [path.name for path, stamp in stamps.items() if (path / "summary.json").stat().st_mtime_ns != stamp]
        failures += [f"trained again: {', '.join(again)}"] if again else []
        for row in rows:
            epochs = [
                json.loads(line)["epoch"]
                for line in (workdir / row["workdir"] / "metrics.jsonl").read_text().splitlines()
                if json.loads(line)["split"] == "train"
            ]
            if epochs != sorted(set(epochs)):
                failures.append(f"trial {row['number']} logged epochs twice: {epochs}")
        if not (workdir / "report.html").exists():
            failures.append("there is no report")
        print(f"{len(rows)} trials, {len(stamps)} of them finished before the last kill and were left alone")
    for failure in failures:
        print(failure)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
