"""The devices of all hosts as one row, and how arrays come to lie on them."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from cnn_jax.errors import InputError

AXIS = "data"


@dataclasses.dataclass(frozen=True)
class Devices:
    """A row of devices, over which the examples of a batch are spread.

    Attributes:
      mesh: of the one axis `AXIS`; the devices of one host stand side by side.
      strategy: "jit", one program for all devices; or "pmap", a program for each.
      batch_norm: "global", statistics of the whole batch; or "per_device", of each device's part of it.
    """

    mesh: Mesh
    strategy: str = "jit"
    batch_norm: str = "global"

    @property
    def count(self) -> int:
        return self.mesh.size

    @property
    def kind(self) -> str:
        device = self.mesh.devices.flat[0]
        return f"{device.platform}: {device.device_kind}"

    @property
    def platform(self) -> str:
        return str(self.mesh.devices.flat[0].platform)

    @property
    def axis(self) -> str | None:
        """The axis that a training program names; None where one program sees the whole batch."""
        whole = self.strategy == "jit" and (self.batch_norm == "global" or self.count == 1)
        return None if whole else AXIS

    @property
    def norm_axis(self) -> str | None:
        """The axis over which a BatchNorm must itself take its statistics."""
        return self.axis if self.batch_norm == "global" else None

    @property
    def replicated(self) -> NamedSharding:
        return NamedSharding(self.mesh, PartitionSpec())

    @property
    def split(self) -> NamedSharding:
        return NamedSharding(self.mesh, PartitionSpec(AXIS))

    def copy(self, tree: Any) -> Any:
        """Arrays that every host holds whole, onto every device."""
        return jax.tree.map(lambda x: self._from_rows(np.shape(x), lambda index: x[index], self.replicated), tree)

    @property
    def folded(self) -> bool:
        """Whether training takes what is spread as [devices, rows of each, ...], which is how pmap wants it."""
        return self.strategy == "pmap"

    def spread(self, batch: Mapping[str, np.ndarray], folded: bool = False) -> dict[str, jax.Array]:
        """This host's rows of a batch, onto its devices: together they are the whole batch [B, ...]."""
        if folded:
            own = self.count // jax.process_count()
            batch = {name: rows.reshape(own, -1, *rows.shape[1:]) for name, rows in batch.items()}
        if jax.process_count() == 1:
            return dict(jax.device_put(dict(batch), self.split))
        return {name: jax.make_array_from_process_local_data(self.split, rows) for name, rows in batch.items()}

    def spread_rows(self, rows: np.ndarray, folded: bool = False) -> jax.Array:
        """Rows [N, ...], an equal part for each device (the last one is filled up); only this host's are read."""
        each = -(-len(rows) // self.count)
        if folded:
            shape = (self.count, each, *rows.shape[1:])
            return self._from_rows(shape, lambda i: _padded(rows, (i[0].start or 0) * each, each)[None], self.split)
        shape = (self.count * each, *rows.shape[1:])
        return self._from_rows(shape, lambda i: _padded(rows, i[0].start or 0, each), self.split)

    def _from_rows(self, shape: tuple[int, ...], read: Callable[[Any], Any], sharding: NamedSharding) -> jax.Array:
        return jax.make_array_from_callback(shape, sharding, lambda index: np.asarray(read(index)))


def choose_devices(strategy: str = "jit", count: int | None = None, batch_norm: str = "global") -> Devices:
    """So many devices, equally many of each host; None: all.

    Raises:
      InputError: there are not so many, or the hosts cannot give equally many.
    """
    hosts = jax.process_count()
    there = sorted(jax.devices(), key=lambda device: (device.process_index, device.id))
    wanted = len(there) if count is None else count
    if wanted > len(there):
        named = f"{len(there)} ({there[0].platform})"
        raise InputError(
            f"config.parallel.devices={wanted}: there are only {named}; choose at most that, or None for all"
        )
    if wanted % hosts:
        raise InputError(
            f"config.parallel.devices={wanted}: {hosts} hosts must each give as many; choose a multiple of it"
        )
    each: dict[int, list[Any]] = {}
    for device in there:
        each.setdefault(device.process_index, []).append(device)
    chosen = [device for own in each.values() for device in own[: wanted // hosts]]
    return Devices(Mesh(np.array(chosen), (AXIS,)), strategy, batch_norm)


def check_batch(key: str, size: int, parts: int, why: str, most: int) -> None:
    """Raises InputError, with the nearest sizes that do, where a batch cannot be cut into so many equal parts."""
    if size % parts == 0:
        return
    below, above = size // parts * parts, (size // parts + 1) * parts
    fitting = [str(near) for near in (below, above) if 0 < near <= most]
    advice = f"choose {' or '.join(fitting)}" if fitting else "take fewer of them"
    raise InputError(f"config.{key}={size}: {why} cannot share it evenly; {advice}")


def _padded(rows: np.ndarray, start: int, count: int) -> np.ndarray:
    """So many rows from `start` on; beyond the end, zeros."""
    own = np.asarray(rows[start : start + count])
    missing = count - len(own)
    return own if not missing else np.concatenate([own, np.zeros((missing, *own.shape[1:]), own.dtype)])
