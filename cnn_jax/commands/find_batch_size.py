"""Finds the batch sizes that fit a device, and the one from which on more batch no longer pays.

cnn_jax find-batch-size --config=cifar10_resnet18
cnn_jax find-batch-size --config=mnist_cnn --max=1024 --memory=8GiB    as if a device had so much

Devices, precision, accumulation and remat are as the config says. Prints the flags to paste.
"""

from collections.abc import Sequence
from pathlib import Path

from cnn_jax.cli import command_line


def main(argv: Sequence[str]) -> None:
    parser = command_line.Parser(__doc__, with_config=True)
    parser.add_argument("--output", metavar="DIR", help="for figures (default: runs/find_batch_size/CONFIG_NAME)")
    parser.add_argument("--max", type=int, metavar="N", help="try no larger batch (default: the training split)")
    parser.add_argument("--memory", metavar="BYTES", help="take each device to have so much, as in 8GiB")
    arguments = parser.parse(argv)
    config = parser.load_config(arguments.config)
    output = arguments.output or f"runs/find_batch_size/{Path(arguments.config).stem}"

    from cnn_jax.tuning.finders.batch_report import report
    from cnn_jax.tuning.finders.batch_search import parse_bytes
    from cnn_jax.tuning.finders.batch_size import find_batch_size

    memory = None if arguments.memory is None else parse_bytes(arguments.memory)
    print(report(find_batch_size(config, output, arguments.max, memory), config))
