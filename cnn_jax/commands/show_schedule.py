"""Draws a config's learning rate over its training, and the momentum where the schedule moves it.

cnn_jax show-schedule --config=cifar10_cnn
cnn_jax show-schedule --config.schedule.name=CyclicLR --steps_per_epoch=100 --output=schedule.png
"""

from collections.abc import Sequence
from pathlib import Path

from cnn_jax.cli import command_line


def main(argv: Sequence[str]) -> None:
    parser = command_line.Parser(__doc__, with_config=True)
    parser.add_argument("--output", metavar="FILE.png", help="the picture (default: runs/schedule_CONFIG_NAME.png)")
    parser.add_argument("--steps_per_epoch", type=int, metavar="N", help="instead of counting the training images")
    arguments = parser.parse(argv)
    if arguments.steps_per_epoch is not None and not 1 <= arguments.steps_per_epoch <= 10_000_000:
        parser.error(f"--steps_per_epoch={arguments.steps_per_epoch}: must be at least 1 and at most 10000000")
    config = parser.load_config(arguments.config)

    from cnn_jax.pictures.schedule import count_steps_per_epoch, draw_schedule

    path = Path(arguments.output or f"runs/schedule_{Path(arguments.config).stem}.png")
    print(draw_schedule(config, arguments.steps_per_epoch or count_steps_per_epoch(config), path))
