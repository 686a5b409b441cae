"""Finds a learning rate: one training step at each of exponentially rising rates, and where the loss falls well.

cnn_jax find-lr                                             handwritten digits
cnn_jax find-lr --config=mnist_cnn --config.optimizer.name=sgd --end=100

Everything but the rate is as the config says; nothing that is trained is kept. Prints the flag to paste.
"""

from collections.abc import Sequence
from pathlib import Path

from cnn_jax.cli import command_line


def main(argv: Sequence[str]) -> None:
    parser = command_line.Parser(__doc__, with_config=True)
    parser.add_argument("--output", metavar="DIR", help="for picture and figures (default: runs/find_lr/CONFIG_NAME)")
    parser.add_argument("--seeds", type=int, default=3, help="sweeps, of which the median is taken (default: 3)")
    parser.add_argument("--start", type=float, default=1e-7, help="the first rate (default: 1e-7)")
    parser.add_argument("--end", type=float, default=10.0, help="the last rate (default: 10)")
    parser.add_argument("--steps", type=int, default=100, help="rates, each for one step (default: 100)")
    parser.add_argument("--suggestion", default="valley", help="valley (default), steepest or minimum")
    arguments = parser.parse(argv)
    config = parser.load_config(arguments.config)
    output = arguments.output or f"runs/find_lr/{Path(arguments.config).stem}"

    from cnn_jax.tuning.finders.lr_finder import LrSettings, find_learning_rate, report

    settings = LrSettings(arguments.start, arguments.end, arguments.steps, arguments.seeds, arguments.suggestion)
    print(report(find_learning_rate(config, settings, output)))
