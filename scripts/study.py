"""Repeats small experiments of the literature; prints their figures and writes study.json.

scripts/study.py --only=receptive_fields   how the effective field grows as a network is trained on CIFAR-10
scripts/study.py --only=red_green          does a network use where things are? four kinds of padding
scripts/study.py --only=blur_pool          what blur pooling gains on CIFAR-10
scripts/study.py --only=mlp_and_cnn        a perceptron and a CNN on shifted digits, and on permuted pixels

Each trains some networks, for each seed; run directories stay in OUTPUT, and the same command again goes on there.
"""

import importlib
from collections.abc import Sequence
from pathlib import Path

from cnn_jax.cli import command_line

STUDIES = ("receptive_fields", "red_green", "blur_pool", "mlp_and_cnn")


def main(argv: Sequence[str]) -> None:
    parser = command_line.Parser(__doc__)
    parser.add_argument("--only", required=True, choices=STUDIES, help="which one")
    parser.add_argument("--seeds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--output", default="runs/studies", metavar="DIR", help="default: %(default)s")
    arguments = parser.parse(argv)
    if arguments.seeds < 1:
        parser.error(f"--seeds={arguments.seeds}: it must be at least 1")

    from cnn_jax.runs.directory import write_json
    from cnn_jax.runs.environment import describe_environment

    folder = Path(arguments.output) / arguments.only
    results = importlib.import_module(f"studies.{arguments.only}").measure(arguments.seeds, folder)
    write_json(folder / "study.json", {"environment": describe_environment(), "results": results})
    print(f"written: {folder / 'study.json'}")


if __name__ == "__main__":
    command_line.run(main)
