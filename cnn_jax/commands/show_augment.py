"""Draws what augmentation does to training images: the config's pipeline, and its operations at several strengths.

cnn_jax show-augment
cnn_jax show-augment --all                        also the operations that the config does not use: a minute or two
cnn_jax show-augment --config=cifar10_cnn --config.augment="(('randaugment', (2, 9)),)"
"""

from collections.abc import Sequence
from pathlib import Path

from cnn_jax.cli import command_line


def main(argv: Sequence[str]) -> None:
    parser = command_line.Parser(__doc__, with_config=True)
    parser.add_argument("--output", metavar="FILE.png", help="the picture (default: runs/augment_CONFIG_NAME.png)")
    parser.add_argument("--all", action="store_true", help="draw every operation that there is")
    arguments = parser.parse(argv)
    config = parser.load_config(arguments.config)

    from cnn_jax.pictures.augment_grid import draw_gallery

    path = Path(arguments.output or f"runs/augment_{Path(arguments.config).stem}.png")
    print(f"written: {draw_gallery(config, path, arguments.all)}")
