"""Orbax checkpoints of a run: the last ones and the best one; state, position and config together; no pickle."""

import contextlib
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import AnyPreservationPolicy, BestN, LatestN

# Orbax tells every step of its work at INFO and WARNING level.
logging.getLogger("absl").setLevel(logging.ERROR)


class Checkpoints:
    """The folder `checkpoints/` of a run; each checkpoint is named by its step and appears whole or not at all.

    A checkpoint holds `state` (any pytree of arrays), `progress` and `config` (JSON). Its `rank`, a list of numbers of
    which larger ones are better, says which one is best; one without a rank is only ever the last.
    """

    def __init__(self, folder: Path, keep: int = 1):
        best = BestN(
            get_metric_fn=lambda metrics: tuple(metrics["rank"]), n=1, keep_checkpoints_without_metrics=False
        )
        self._manager = ocp.CheckpointManager(
            folder.absolute(),
            item_names=("state", "progress", "config"),
            options=ocp.CheckpointManagerOptions(
                preservation_policy=AnyPreservationPolicy([LatestN(keep), best]), create=True
            ),
        )

    def save(
        self, step: int, state: Any, progress: Mapping[str, Any], config: Mapping[str, Any],
        rank: list[float] | None = None,
    ) -> None:  # fmt: skip
        """Starts saving; the arrays are copied first, so that training may go on."""
        if step in self._manager.all_steps():
            # The same state, saved when a signal came between the last step of an epoch and its evaluation.
            self._manager.delete(step)
        items = ocp.args.Composite(
            state=ocp.args.StandardSave(state),
            progress=ocp.args.JsonSave(dict(progress)),
            config=ocp.args.JsonSave(dict(config)),
        )
        self._manager.save(step, args=items, metrics=None if rank is None else {"rank": rank}, force=True)

    def last(self) -> int | None:
        return self._manager.latest_step()

    def progress(self, step: int) -> dict[str, Any]:
        return dict(self._manager.restore(step, args=ocp.args.Composite(progress=ocp.args.JsonRestore()))["progress"])

    def restore(self, step: int, like: Any) -> Any:
        """The state with the structure, types and shardings of `like` (arrays or `jax.ShapeDtypeStruct`)."""
        target = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        return self._manager.restore(step, args=ocp.args.Composite(state=ocp.args.StandardRestore(target)))["state"]

    def best(self) -> int | None:
        """The step of the best checkpoint, or of the last one where none has a rank; None where there is none."""
        last = self.last()
        if last is None:
            return None
        best = self.progress(last)["best"]
        return last if best is None else int(best["step"])

    def restore_variables(self, step: int, like: Any) -> Any:
        """The model's part of the state: {"params", "batch_stats"} as in `like`, without the optimizer's."""
        target = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
            arguments = ocp.args.PyTreeRestore(
                item=target, restore_args=ocp.checkpoint_utils.construct_restore_args(target), partial_restore=True
            )
            return checkpointer.restore(self._manager.directory / str(step) / "state", args=arguments)

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
