"""Looks at every picture of a data set, and lists and shows what may spoil a model: audit.html and audit.json.

cnn_jax audit --dir=photos
cnn_jax audit --dir=photos --folds=5            (wrong labels, too)
cnn_jax audit --config=cifar10_cnn
cnn_jax audit --workdir=runs/digits             (the run's own data, and what is hard for its model)
"""

from collections.abc import Sequence

from cnn_jax.cli import command_line


def main(argv: Sequence[str]) -> int:
    parser = command_line.Parser(__doc__, with_config=True)
    parser.set_defaults(config=None)
    parser.add_argument("--dir", metavar="FOLDER", help="a folder of images: data.source=folder, data.dir=FOLDER")
    parser.add_argument("--workdir", metavar="DIR", help="a trained run, for outliers and what is hard for it")
    parser.add_argument(
        "--folds", type=int, default=0, metavar="K",
        help="look for wrong labels by K models that do not see what they judge (5 is common; default: do not)",
    )  # fmt: skip
    parser.add_argument("--output", metavar="DIR", help="where the report goes (default: audit/NAME_OF_THE_DATA)")
    parser.add_argument("--strict", action="store_true", help="exit with status 1 where errors are found")
    arguments = parser.parse(argv)
    if arguments.config is None and arguments.dir is None and arguments.workdir is None:
        parser.error("say what to look at: --dir, --config or --workdir")
    if arguments.folds and arguments.folds < 2:
        parser.error(f"--folds={arguments.folds}: it takes at least 2 folds, so that each is judged by the others")

    from cnn_jax.audit.audit import audit
    from cnn_jax.audit.lines import describe_findings
    from cnn_jax.config import default_config, override
    from cnn_jax.config.keys import SOURCES
    from cnn_jax.inference import load_run

    command_line.register_names(arguments.config)
    run = load_run(arguments.workdir) if arguments.workdir else None
    config = parser.load_config(arguments.config or (run.config if run is not None else default_config()))
    if arguments.dir is not None:
        # What a manifest's columns are called means nothing here.
        plain = [(f"data.{key}", default_config().data[key]) for key in SOURCES["csv"].takes]
        folder = [("data.source", "folder"), ("data.name", None), ("data.dir", arguments.dir)]
        config = override(config, [*plain, *folder])
    result = audit(config, arguments.output, run, arguments.folds)
    print("\n".join(describe_findings(result.report)))
    print(f"written: {result.json}, {result.page}")
    return 1 if arguments.strict and result.counts()["error"][0] else 0
