"""Classifies image files with a trained run.

  cnn_jax predict --workdir=runs/digits seven.png photo.jpg
  cnn_jax predict --workdir=runs/digits folder --csv=predictions.csv

Of a folder all files below it are taken, as in training. Exit status 1 if some could not be read; the others are
predicted all the same.
"""

import csv
import json
import sys
from collections.abc import Sequence

from cnn_jax.cli import command_line, programs
from cnn_jax.errors import shown


def main(argv: Sequence[str]) -> int:
    parser = command_line.Parser(__doc__, with_run=True)
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="an image file, or a folder of them")
    parser.add_argument("--top", type=int, default=3, metavar="N", help="how many of the classes (default: 3)")
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print one JSON list")
    output.add_argument("--csv", metavar="FILE", help="write a table: image, classes, probabilities, error")
    arguments = parser.parse(argv)
    if arguments.top < 1:
        parser.error(f"--top={arguments.top}: it must be at least 1")

    import numpy as np

    from cnn_jax.cli.progress import announce, progress_bar
    from cnn_jax.data.reading.levels import darkness
    from cnn_jax.data.sources.words import numbered
    from cnn_jax.inference import load_run
    from cnn_jax.inference.inputs import levels_of
    from cnn_jax.inference.prediction import list_images, predict_files
    from cnn_jax.inference.tables import open_table, predicted_header, predicted_row

    paths = list_images(arguments.images)
    run = load_run(arguments.workdir)
    top = min(arguments.top, len(run.class_names))
    table = open_table(arguments.csv) if arguments.csv else None
    predictions = []
    with progress_bar(len(paths), "predicting", "image") as bar:
        for prediction in predict_files(run, paths, top):
            bar.update(1)
            predictions.append(prediction)
            if prediction.error is not None:
                bar.write(f"{programs.own_name()}: {prediction.error}", file=sys.stderr)
    good = [prediction for prediction in predictions if prediction.error is None]
    dark = darkness(np.array([prediction.range_used for prediction in good]), levels_of(run.config.data))
    if dark:
        announce(dark)
    if arguments.json:
        print(json.dumps([p.to_json() for p in predictions], indent=2))
    elif table is not None:
        with table:
            writer = csv.writer(table)
            writer.writerow(predicted_header(top))
            # The image has a column of its own.
            reasons = [p.error and p.error.removeprefix(f"{shown(p.image)}: ") for p in predictions]
            writer.writerows(
                predicted_row(p.image, p.classes, why, top) for p, why in zip(predictions, reasons, strict=True)
            )
        counts = [numbered(len(good), "prediction"), numbered(len(predictions) - len(good), "error")]
        print(f"{' and '.join(counts)} written to {arguments.csv}")
    else:
        for p in good:
            print(f"{shown(p.image)}: " + ", ".join(f"{name} {probability:.2%}" for name, probability in p.classes))
    return 1 if len(good) < len(predictions) else 0
