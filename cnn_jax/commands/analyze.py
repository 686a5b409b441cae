"""Looks into a trained run and writes one page that shows what it finds, with a line on how to read each picture.

cnn_jax analyze --workdir=runs/digits
cnn_jax analyze --workdir=runs/digits --only=figures       one part of it, in report_figures.html

It writes report.html (one file that needs no network), report.json (every figure), MODEL_CARD.md and pictures in plots/
into WORKDIR.
"""

from collections.abc import Sequence

from cnn_jax.cli import command_line


def main(argv: Sequence[str]) -> None:
    parser = command_line.Parser(__doc__, with_run=True)
    parser.add_argument("--only", default="", metavar="PARTS", help="names of parts, with commas (default: all)")
    parser.add_argument("--split", default="test", choices=("test", "validation", "train"), help="default: test")
    parser.add_argument("--data_dir", metavar="PATH", help="a folder, manifest or .npz instead of config.data.dir")
    parser.add_argument("--images", type=int, default=500, metavar="N", help="for the costly parts (default: 500)")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn (default: 0)")
    arguments = parser.parse(argv)
    if arguments.images < 1:
        parser.error(f"--images={arguments.images}: it must be at least 1")
    only = [name.strip() for name in arguments.only.split(",") if name.strip()]

    from cnn_jax.reports.report import analyze

    report = analyze(arguments.workdir, only, arguments.split, arguments.data_dir, arguments.images, arguments.seed)
    for section in report.sections.values():
        print(f"{section.title}: {section.lead[0]}")
    print("written: " + ", ".join(map(str, report.files)))
