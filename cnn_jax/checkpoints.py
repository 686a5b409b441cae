"""Orbax checkpoints of a run: the last ones and the best one; state, position and config together; no pickle."""

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import PolicyCheckpointInfo, PreservationContext, PreservationPolicy

from cnn_jax.errors import InputError

# Orbax tells every step of its work at INFO and WARNING level.
logging.getLogger("absl").setLevel(logging.ERROR)


class _LastAndBest(PreservationPolicy):
    """Keeps the newest `keep` checkpoints, and the best one for as long as it is the best.

    Orbax's own policies rank checkpoints by metrics that it forgets when a run is resumed.
    """

    def __init__(self, keep: int):
        self._keep = keep
        self.best: int | None = None

    def should_preserve(
        self, checkpoints: Sequence[PolicyCheckpointInfo], *, context: PreservationContext
    ) -> Sequence[bool]:
        newest = sorted(checkpoint.step for checkpoint in checkpoints)[-self._keep :]
        return [checkpoint.step in newest or checkpoint.step == self.best for checkpoint in checkpoints]


class Checkpoints:
    """The folder `checkpoints/` of a run; each checkpoint is named by its step and appears whole or not at all.

    A checkpoint holds `state` (any pytree of arrays), `progress` and `config` (JSON). What `progress["best"]["step"]`
    names is the best checkpoint; it outlives the newer ones.
    """

    def __init__(self, folder: Path, keep: int = 1):
        self._policy = _LastAndBest(keep)
        self._manager = ocp.CheckpointManager(
            folder.absolute(),
            item_names=("state", "progress", "config"),
            options=ocp.CheckpointManagerOptions(preservation_policy=self._policy, create=True),
        )

    def save(self, step: int, state: Any, progress: Mapping[str, Any], config: Mapping[str, Any]) -> None:
        """Starts saving; the arrays are copied first, so that training may go on."""
        if step in self._manager.all_steps():
            # The same arrays, saved when a signal came between the last step of an epoch and the end of its evaluation.
            self._manager.delete(step)
        items = ocp.args.Composite(
            state=ocp.args.StandardSave(state),
            progress=ocp.args.JsonSave(dict(progress)),
            config=ocp.args.JsonSave(dict(config)),
        )
        self._policy.best = progress["best"]["step"] if progress["best"] else None
        self._manager.save(step, args=items, force=True)

    def last(self) -> int | None:
        return self._manager.latest_step()

    def progress(self, step: int) -> dict[str, Any]:
        with self._said(step):
            items = self._manager.restore(step, args=ocp.args.Composite(progress=ocp.args.JsonRestore()))
            return dict(items["progress"])

    def restore(self, step: int, like: Any) -> Any:
        """The state with the structure, types and shardings of `like` (arrays or `jax.ShapeDtypeStruct`)."""
        target = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        with self._said(step):
            items = self._manager.restore(step, args=ocp.args.Composite(state=ocp.args.StandardRestore(target)))
            return items["state"]

    def best(self) -> int | None:
        """The step of the best checkpoint (without validation, of the last one); None where no epoch is finished."""
        last = self.last()
        progress = None if last is None else self.progress(last)
        if progress is None or progress["epoch"] == 0:
            return None
        return last if progress["best"] is None else int(progress["best"]["step"])

    def restore_variables(self, step: int, like: Any) -> Any:
        """The model's part of the state: {"params", "batch_stats"} as in `like`, without the optimizer's."""
        target = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        with self._said(step), ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
            arguments = ocp.args.PyTreeRestore(
                item=target, restore_args=ocp.checkpoint_utils.construct_restore_args(target), partial_restore=True
            )
            return checkpointer.restore(self._manager.directory / str(step) / "state", args=arguments)

    @contextlib.contextmanager
    def _said(self, step: int) -> Iterator[None]:
        """Whatever Orbax and its storage raise about a damaged checkpoint, as one line."""
        try:
            yield
        except Exception as error:
            reason = " ".join(str(error).split())[:160]
            raise InputError(
                f"{self._manager.directory / str(step)}: this checkpoint is damaged or of another model ({reason}); "
                f"delete its folder to go on from the one before"
            ) from error

    def wait(self) -> None:
        """Returns when everything is on disk; raises what went wrong."""
        self._manager.wait_until_finished()

    def close(self) -> None:
        self._manager.close()


@contextlib.contextmanager
def open_checkpoints(folder: Path, keep: int = 1) -> Iterator[Checkpoints]:
    """`Checkpoints`, closed (and so complete) at the end."""
    checkpoints = Checkpoints(folder, keep)
    try:
        yield checkpoints
    finally:
        checkpoints.close()
