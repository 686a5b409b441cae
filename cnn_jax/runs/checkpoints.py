"""Orbax checkpoints of a run: the last ones and the best one; state, position and config together; no pickle."""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import orbax.checkpoint as ocp

from cnn_jax.cli.progress import announce
from cnn_jax.distributed import hosts
from cnn_jax.errors import DamagedError, InputError, reason_of
from cnn_jax.runs.checkpoint_policy import LastAndBest, quieten
from cnn_jax.runs.checksums import array_checksums, json_checksum
from cnn_jax.runs.directory import is_step

_REPLACED = ".replaced"
_HOSTS_WAIT_SECONDS = 300


class Restored(NamedTuple):
    """The model's part of a checkpoint; `weights` is "raw", "ema" or "swa"."""

    step: int
    weights: str
    variables: Any


class Checkpoints:
    """The folder `checkpoints/` of a run; each checkpoint is named by its step and appears whole or not at all.

    A checkpoint holds `state` (any pytree of arrays), `progress` and `config` (JSON), and checksums of the first two.
    What `progress["best"]["step"]` names is the best checkpoint; it outlives the newer ones.

    Args:
      keep: how many of the last ones are kept.
      read_only: nothing is written or moved, whatever is found.
    """

    def __init__(self, folder: Path, keep: int = 2, read_only: bool = False):
        self.folder = folder.absolute()
        self._policy = LastAndBest(keep)
        self._read_only = read_only
        if not read_only:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise InputError(f"{folder}: it cannot be written ({error.strerror})") from error
            self._refuse_links()
            self._clean_up()
            # No host may look at what is there before the first one has put it in order.
            ocp.multihost.sync_global_processes("cnn_jax tidied the checkpoints")
        options = ocp.CheckpointManagerOptions(
            preservation_policy=self._policy, create=False, read_only=read_only,
            async_options=ocp.AsyncOptions(timeout_secs=_HOSTS_WAIT_SECONDS),
        )  # fmt: skip
        names = ("state", "progress", "config", "checksums")
        self._manager = ocp.CheckpointManager(self.folder, item_names=names, options=options)
        for step in () if read_only else self.steps():
            with contextlib.suppress(DamagedError):
                self._remember_best(step, self.progress(step))

    def save(self, step: int, state: Any, progress: Mapping[str, Any], config: Mapping[str, Any]) -> None:
        """Starts saving; the arrays are copied first, so that training may go on."""
        if step in self.steps():
            # The same arrays, saved when a signal came between the last step of an epoch and the end of its
            # evaluation. They are out of the way, but not gone, until the new ones are whole.
            self._move(step, self.folder / _REPLACED / str(step))
        values = json.loads(json.dumps(progress))
        self._remember_best(step, values)
        items = ocp.args.Composite(
            state=ocp.args.StandardSave(state),
            progress=ocp.args.JsonSave(values),
            config=ocp.args.JsonSave(dict(config)),
            checksums=ocp.args.JsonSave({"state": array_checksums(state), "progress": json_checksum(values)}),
        )
        self._manager.save(step, args=items, force=True)

    def saving(self) -> bool:
        """Whether the last `save` is still at work."""
        return self._manager.is_saving_in_progress()

    def wait(self) -> None:
        """Returns when everything is on disk; raises what went wrong, with the older checkpoints as they were."""
        try:
            self._manager.wait_until_finished()
        except Exception:
            quieten()
            raise
        finally:
            self._clean_up()
            if self._on_disk() != self.steps():
                self._manager.reload()

    def steps(self) -> list[int]:
        return sorted(self._manager.all_steps())

    def last(self) -> int | None:
        return max(self.steps(), default=None)

    def progress(self, step: int) -> dict[str, Any]:
        with self._said(step):
            items = self._manager.restore(step, args=ocp.args.Composite(progress=ocp.args.JsonRestore()))
            values = dict(items["progress"])
            checksums = self._checksums(step)
            if checksums is not None and checksums["progress"] != json_checksum(values):
                raise ValueError("its progress is not what was saved")
            return _with_current_names(values)

    def restore(self, step: int, like: Any) -> Any:
        """The state with the structure, types and shardings of `like` (arrays or `jax.ShapeDtypeStruct`)."""
        target = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        with self._said(step):
            items = self._manager.restore(step, args=ocp.args.Composite(state=ocp.args.StandardRestore(target)))
            self._verify(step, items["state"])
            return items["state"]

    def restore_last(self, like: Any, aside: Path) -> tuple[Any, dict[str, Any]] | None:
        """State and progress of the newest whole checkpoint; damaged ones that are newer are moved to `aside`.

        Raises:
          InputError: there are checkpoints, but none can be read; then none is moved.
        """
        damaged: dict[int, DamagedError] = {}
        for step in reversed(self.steps()):
            try:
                state, progress = self.restore(step, like), self.progress(step)
            except DamagedError as error:
                damaged[step] = error
                continue
            self._agree(step)
            for bad, found in damaged.items():
                moved = _free_name(aside, bad)
                self._move(bad, moved)
                announce(f"{found}; it is moved to {moved}, and the run goes on from step {step}")
            return state, progress
        self._refuse(list(damaged.values()))
        self._agree(None)
        return None

    def _refuse_links(self) -> None:
        """Old checkpoints are deleted, with all that is in them; what a link leads to is not this run's."""
        for path in self.folder.iterdir():
            if path.is_symlink():
                raise InputError(f"{path}: this is a symbolic link, not a checkpoint of this run; remove it")

    def _agree(self, step: int | None) -> None:
        hosts.assert_equal("the checkpoint to go on from", str(step), "another newest whole checkpoint")

    def restore_best(self, like: Any) -> Restored | None:
        """The best weights that can be read, as in `like`; None where no epoch is finished.

        Without validation data they are those of the last checkpoint; where that or the best one is damaged, this is
        said, and the newest whole one takes its place.

        Raises:
          InputError: there are checkpoints, but none can be read.
        """
        damaged: dict[int, DamagedError] = {}
        unfinished = False
        for last in reversed(self.steps()):
            try:
                progress = self.progress(last)
            except DamagedError as error:
                damaged[last] = error
                continue
            if progress["epoch"] == 0 and progress["best"] is None:
                unfinished = True
                continue
            without = (last, progress.get("averaged_weights") or "raw")
            best = progress["best"]
            for step, weights in ((int(best["step"]), best.get("weights", "raw")), without) if best else (without,):
                if step in damaged:
                    continue
                try:
                    variables = self.restore_variables(step, like, weights)
                except DamagedError as error:
                    damaged[step] = error
                    continue
                for found in damaged.values():
                    announce(f"{found}; the weights of step {step} are used")
                return Restored(step, weights, variables)
        if not unfinished:
            self._refuse(list(damaged.values()))
        return None

    def restore_variables(self, step: int, like: Any, weights: str = "raw") -> Any:
        """The model's part of the state: {"params", "batch_stats"} as in `like`, without the optimizer's.

        Args:
          weights: "raw"; or "ema" or "swa": the averages, of which a state has one kind.
        """
        target = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        target = target if weights == "raw" else {"ema": target}
        with self._said(step), ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
            arguments = ocp.args.PyTreeRestore(
                item=target, restore_args=ocp.checkpoint_utils.construct_restore_args(target), partial_restore=True
            )
            restored = checkpointer.restore(self.folder / str(step) / "state", args=arguments)
            self._verify(step, restored)
            return restored if weights == "raw" else restored["ema"]

    def _verify(self, step: int, restored: Any) -> None:
        checksums = self._checksums(step)
        if checksums is None:
            return
        wrong = [name for name, sums in array_checksums(restored).items() if checksums["state"].get(name) != sums]
        if wrong:
            raise ValueError(f"{len(wrong)} of its arrays, {wrong[0]} first, are not what was saved")

    def _checksums(self, step: int) -> dict[str, Any] | None:
        """None where they are missing: what is damaged otherwise is noticed by its reader."""
        if not (self.folder / str(step) / "checksums").is_dir():
            return None
        items = self._manager.restore(step, args=ocp.args.Composite(checksums=ocp.args.JsonRestore()))
        return dict(items["checksums"])

    @contextlib.contextmanager
    def _said(self, step: int) -> Iterator[None]:
        """Whatever Orbax and its storage raise about a damaged checkpoint, as one line."""
        try:
            yield
        except Exception as error:
            quieten()
            raise DamagedError(
                f"{self.folder / str(step)}: this checkpoint is damaged or of another model ({reason_of(error)})"
            ) from error

    def _refuse(self, damaged: Sequence[DamagedError]) -> None:
        if damaged:
            others = f" (and {len(damaged) - 1} more likewise)" if len(damaged) > 1 else ""
            raise InputError(
                f"{damaged[0]}{others}, and none is whole; restore {self.folder} from a copy, or choose another "
                f"--workdir to train anew"
            ) from damaged[0]

    def _remember_best(self, step: int, progress: Mapping[str, Any]) -> None:
        if progress["best"]:
            self._policy.best[step] = int(progress["best"]["step"])

    def _move(self, step: int, target: Path) -> None:
        """Renames a checkpoint, seen by all hosts."""
        if hosts.is_primary():
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(self.folder / str(step), target)
        ocp.multihost.sync_global_processes(f"cnn_jax moved the checkpoint of step {step}")
        self._manager.reload()

    def _on_disk(self) -> list[int]:
        return sorted(int(path.name) for path in self.folder.glob("*") if is_step(path.name))

    def _clean_up(self) -> None:
        """Removes what saving left half done; a checkpoint that was to be replaced and was not comes back."""
        if self._read_only or not hosts.is_primary():
            return
        for partial in self.folder.glob("*.orbax-checkpoint-tmp*"):
            shutil.rmtree(partial, ignore_errors=True)
        for replaced in (self.folder / _REPLACED).glob("*"):
            with contextlib.suppress(OSError):
                if (self.folder / replaced.name).exists():
                    shutil.rmtree(replaced)
                else:
                    os.replace(replaced, self.folder / replaced.name)
        with contextlib.suppress(OSError):
            (self.folder / _REPLACED).rmdir()

    def close(self) -> None:
        """Waits for what is being saved; whether that went well, `wait` tells."""
        with contextlib.suppress(Exception):
            self.wait()
        with contextlib.suppress(Exception):
            self._manager.close()


@contextlib.contextmanager
def open_checkpoints(folder: Path, keep: int = 2, read_only: bool = False) -> Iterator[Checkpoints]:
    """`Checkpoints`, closed (and so complete) at the end."""
    checkpoints = Checkpoints(folder, keep, read_only)
    try:
        yield checkpoints
    finally:
        checkpoints.close()


def _with_current_names(progress: dict[str, Any]) -> dict[str, Any]:
    """Older checkpoints have `averaged` (bool) and `averages` ("ema" or "swa") for `averaged_weights`."""
    if "averaged" not in progress:
        return progress
    renamed = {name: value for name, value in progress.items() if name not in ("averaged", "averages")}
    return {**renamed, "averaged_weights": progress.get("averages", "ema") if progress["averaged"] else None}


def _free_name(folder: Path, step: int) -> Path:
    names = (str(step), *(f"{step}-{i}" for i in range(2, 10_000)))
    return next(folder / name for name in names if not (folder / name).exists())
