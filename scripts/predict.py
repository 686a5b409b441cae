"""Classifies image files with a trained run.

  scripts/predict.py --workdir=runs/digits seven.png photo.jpg
  scripts/predict.py --workdir=runs/digits folder --csv=predictions.csv

Exit status 1 if some images could not be read; the others are predicted all the same.
"""

import csv
import json
import sys
from collections.abc import Sequence
from typing import TextIO

from cnn_jax.cli import command_line
from cnn_jax.errors import InputError, shown


def main(argv: Sequence[str]) -> int:
    parser = command_line.Parser(__doc__, with_run=True)
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="an image file, or a folder of them")
    parser.add_argument("--top", type=int, default=3, metavar="N", help="how many classes to print (default: 3)")
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print one JSON list")
    output.add_argument("--csv", metavar="FILE", help="write image, class, probability as a table")
    arguments = parser.parse(argv)
    if arguments.top < 1:
        parser.error(f"--top={arguments.top}: it must be at least 1")

    from cnn_jax.cli.progress import progress_bar
    from cnn_jax.inference import load_run
    from cnn_jax.inference.prediction import list_images, predict_files, table_row

    paths = list_images(arguments.images)
    run = load_run(arguments.workdir)
    table = open_table(arguments.csv) if arguments.csv else None
    predictions = []
    with progress_bar(len(paths), "predicting", "image") as bar:
        for prediction in predict_files(run, paths, arguments.top):
            bar.update(1)
            predictions.append(prediction)
            if prediction.error is not None:
                bar.write(f"predict.py: {prediction.error}", file=sys.stderr)
    good = [prediction for prediction in predictions if prediction.error is None]
    if arguments.json:
        rows = [{"image": p.image, "classes": [{"class": c, "probability": v} for c, v in p.classes]} for p in good]
        print(json.dumps(rows, indent=2))
    elif table is not None:
        with table:
            writer = csv.writer(table)
            writer.writerow(["image", "class", "probability"])
            writer.writerows(table_row(p) for p in good)
        print(f"{len(good)} predictions written to {arguments.csv}")
    else:
        for p in good:
            print(f"{shown(p.image)}: " + ", ".join(f"{name} {probability:.2%}" for name, probability in p.classes))
    return 1 if len(good) < len(predictions) else 0


def open_table(path: str) -> TextIO:
    try:
        return open(path, "w", newline="", encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise InputError(f"--csv={path}: it cannot be written ({error.strerror})") from error


if __name__ == "__main__":
    command_line.run(main)
