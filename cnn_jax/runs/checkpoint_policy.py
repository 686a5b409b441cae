"""What Orbax has to be told: which checkpoints to keep, and not to speak where we do."""

import logging
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from orbax.checkpoint.checkpoint_managers import PolicyCheckpointInfo, PreservationContext, PreservationPolicy

# Orbax tells every step of its work at INFO and WARNING level, and at ERROR level what it raises as well.
logging.getLogger("absl").setLevel(logging.CRITICAL)


class LastAndBest(PreservationPolicy):
    """Keeps the newest `keep` checkpoints, and of each the one that was the best when it was saved.

    So whoever falls back from a damaged checkpoint to the one before finds that one's best. Orbax's own policies rank
    checkpoints by metrics that it forgets when a run is resumed.
    """

    def __init__(self, keep: int):
        self._keep = keep
        self.best: dict[int, int] = {}

    def should_preserve(
        self, checkpoints: Sequence[PolicyCheckpointInfo], *, context: PreservationContext
    ) -> Sequence[bool]:
        newest = sorted(checkpoint.step for checkpoint in checkpoints)[-self._keep :]
        kept = {*newest, *(self.best[step] for step in newest if step in self.best)}
        return [checkpoint.step in kept for checkpoint in checkpoints]


def quieten() -> None:
    """After an error Orbax's threads and coroutines, left as they are, report to standard error when they are freed."""
    warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    usual = sys.unraisablehook

    def hook(unraisable: Any) -> None:
        text = f"{unraisable.exc_value} {unraisable.object!r}"
        if not any(known in text for known in ("Event loop is closed", "_read_array_index_and_device_put")):
            usual(unraisable)

    if not getattr(usual, "quiet", False):
        hook.quiet = True  # type: ignore[attr-defined]
        sys.unraisablehook = hook
