"""Evaluates a trained run: accuracy with its 95 % interval, per-class figures, calibration, pictures of its mistakes.

scripts/evaluate.py --workdir=runs/digits
"""

from collections.abc import Sequence

from cnn_jax import command_line


def main(argv: Sequence[str]) -> None:
    parser = command_line.Parser(__doc__)
    parser.add_argument("--workdir", required=True, metavar="DIR", help="the run directory")
    parser.add_argument("--split", default="test", choices=("test", "validation", "train"), help="default: test")
    parser.add_argument("--data_dir", metavar="DIR", help="other data of the same classes, instead of config.data.dir")
    arguments = parser.parse(argv)

    from cnn_jax.assessment import assess

    assessment = assess(arguments.workdir, arguments.split, arguments.data_dir)
    figures = assessment.figures
    width = max(len("class"), *(len(row["class"]) for row in figures["per_class"]))
    print(f"{'class':<{width}}  precision  recall     f1  examples")
    for row in figures["per_class"]:
        shares = ("     -" if row[name] is None else f"{row[name]:6.3f}" for name in ("precision", "recall", "f1"))
        print("{:<{}}     {} {} {}  {:8,}".format(row["class"], width, *shares, row["support"]))
    print(f"loss {figures['loss']:.4f}  expected calibration error {figures['expected_calibration_error']:.4f}")
    print("written: " + ", ".join(str(path) for path in assessment.files))
    low, high = figures["accuracy_interval_95"]
    print(
        f"{figures['split']} accuracy {figures['accuracy']:.2%} ({figures['correct']:,} of {figures['examples']:,}; "
        f"95 % interval {low:.2%} to {high:.2%})"
    )


if __name__ == "__main__":
    command_line.run(main)
