"""How a network is computed, whatever its architecture: one value that all its modules share."""

import dataclasses
import re
from typing import Any

import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class ComputeConfig:
    """How a model is computed, never what it computes.

    Attributes:
      dtype: of activations.
      axis: the name of the device axis over which BatchNorm takes its statistics, inside a program for one device;
        None: over what it sees.
      freeze: a regular expression over the names of parameters that are not trained.
      norm_momentum: the share of a running statistic that BatchNorm keeps of the old one at each step; None: as each
        of them has it.
      in_order: layers are computed as the formula has them, a module for each, so that what each gives out is what its
        name says; otherwise in whatever order is fastest.
      remat: "stage": stages keep their inputs only and are computed again on the way back; "none": all is kept.
    """

    dtype: Any = jnp.float32
    axis: str | None = None
    freeze: str | None = None
    remat: str = "none"
    norm_momentum: float | None = None
    in_order: bool = False

    @property
    def param_dtype(self) -> Any:
        """Of parameters, statistics, logits and loss: at least float32."""
        return jnp.promote_types(self.dtype, jnp.float32)

    def freezes_norm(self, path: tuple[str, ...]) -> bool:
        """Whether the scale and the bias of the normalisation with this path are both frozen."""
        names = ("/".join((*path, leaf)) for leaf in ("scale", "bias"))
        return self.freeze is not None and all(re.search(self.freeze, name) for name in names)
