"""One host of several, for tests/distributed: joins the others, does what the first argument names, and ends."""

import argparse
import os
import signal
import sys
import time
import zlib
from collections.abc import Sequence

import jax
from jax.sharding import Mesh

from cnn_jax.cli import command_line
from cnn_jax.distributed import hosts
from cnn_jax.errors import InputError, Interrupted


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what")
    parser.add_argument("--coordinator")
    parser.add_argument("--num_hosts", type=int)
    parser.add_argument("--host", type=int)
    parser.add_argument("--timeout", type=float, default=60)
    arguments = parser.parse_args(argv)
    if arguments.what == "cold":
        load_cold()
        return
    with hosts.connected(arguments.coordinator, arguments.num_hosts, arguments.host, arguments.timeout):
        do(arguments.what)


def load_cold() -> None:
    """Reads data with others that begin at the same moment, and prints what it got."""
    import numpy as np

    from cnn_jax import data
    from cnn_jax.config.tree import default_config, override

    print("ready", flush=True)
    sys.stdin.readline()
    for loading in ("resident", "streamed"):
        settings = [("data.source", "digits"), ("data.loading", loading)]
        splits = data.load(override(default_config(), settings).data)
        images = splits.train.read(np.arange(len(splits.train)))
        print(splits.mean, splits.std, zlib.crc32(images.tobytes()), zlib.crc32(splits.train.labels.tobytes()))


def do(what: str) -> None:
    mesh = Mesh(jax.devices(), ("data",))
    max_over_hosts = hosts.max_over_hosts(mesh)
    here = hosts.index()
    pairs = [jax.device_get(max_over_hosts((value, 1 - here))) for value in (0, 15 * here, 0, 7 - here)]
    assert [int(second) for _, second in pairs] == [1, 1, 1, 1]
    assert hosts.all_gather("names", f"host {here}") == [f"host {host}" for host in range(hosts.count())]
    facts = (here, hosts.count(), hosts.is_primary(), jax.device_count(), *(int(first) for first, _ in pairs))
    print("JOINED", *facts, file=sys.stderr, flush=True)
    if what == "killed" and here == 1:
        os.kill(os.getpid(), signal.SIGTERM)  # the distributed runtime would catch it
    if what == "lead_killed" and here == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "one_fails" and here == 1:
        raise InputError("a picture is gone")
    if what == "all_stop":
        raise Interrupted("stopped at step 3", signal.SIGTERM)
    if what == "barrier":
        if here == 1:
            time.sleep(600)  # until the other one, which leaves, ends it
        hosts.barrier("the data", 1)
    if what in ("killed", "lead_killed", "one_fails"):
        for _ in range(100):
            jax.device_get(max_over_hosts((0,)))


if __name__ == "__main__":
    command_line.run(main)
