"""Evaluates a trained run: accuracy with its 95 % interval, per-class figures, calibration, pictures of its mistakes.

cnn_jax evaluate --workdir=runs/digits
cnn_jax evaluate --workdir=runs/photos --data_dir=new_photos          other images, of all or some of the classes
cnn_jax evaluate --workdir=runs/cifar10_cnn --tta=flip,translate     also from six views of each image

It writes evaluation.json (the figures and each mistake), predictions.csv (each image) and three pictures into WORKDIR.
"""

from collections.abc import Sequence

from cnn_jax.cli import command_line


def main(argv: Sequence[str]) -> None:
    parser = command_line.Parser(__doc__, with_run=True)
    parser.add_argument("--split", default="test", choices=("test", "validation", "train"), help="default: test")
    parser.add_argument("--data_dir", metavar="PATH", help="a folder, manifest or .npz instead of config.data.dir")
    parser.add_argument("--tta", default="", metavar="VIEWS", help="also average over views: flip, translate or both")
    arguments = parser.parse(argv)
    views = [name.strip() for name in arguments.tta.split(",") if name.strip()]

    from cnn_jax.inference.evaluation import assess, describe

    assessment = assess(arguments.workdir, arguments.split, arguments.data_dir, views)
    figures = assessment.figures
    width = max(len("class"), *(len(row["class"]) for row in figures["per_class"]))
    print(f"{'class':<{width}}  precision  recall     f1  examples")
    for row in figures["per_class"]:
        shares = ("     -" if row[name] is None else f"{row[name]:6.3f}" for name in ("precision", "recall", "f1"))
        print("{:<{}}     {} {} {}  {:8,}".format(row["class"], width, *shares, row["support"]))
    print(
        f"loss {figures['loss']:.4f}  expected calibration error {figures['expected_calibration_error']:.4f}  "
        f"balanced accuracy {figures['balanced_accuracy']:.2%}"
    )
    print("written: " + ", ".join(str(path) for path in assessment.files))
    print(describe(figures))
    if views:
        print(describe(figures | figures["tta"], f"with views ({', '.join(figures['tta']['views'])})"))
