"""Measures what parts of training cost on this machine; prints tables and writes benchmark.json.

scripts/benchmark.py                              everything but zoo, and cifar10 on a CPU, where it takes hours
scripts/benchmark.py --only=mnist --torch_python=TORCH/bin/python    time to accuracy, beside PyTorch's example
scripts/benchmark.py --only=steps --networks=cnn --torch_python=TORCH/bin/python    beside Flax and PyTorch
scripts/benchmark.py --only=envelope --configs=configs/imagenet_resnet50.py    arithmetic for machines not at hand
scripts/benchmark.py --only=cifar10 --seeds=25               accuracy and seconds of whole trainings
scripts/benchmark.py --only=zoo --page=docs/zoo.md --torch_python=TORCH/bin/python    every published network
scripts/benchmark.py --only=augment --configs=configs/digits.py,configs/mnist_cnn.py --rounds=5
"""

from collections.abc import Sequence
from pathlib import Path

from cnn_jax.cli import command_line


def main(argv: Sequence[str]) -> None:
    parser = command_line.Parser(__doc__)
    parser.add_argument(
        "--only", metavar="NAME",
        help="augment, cifar10, data, envelope, growth, inference, mnist, start, steps or zoo (default: most)",
    )  # fmt: skip
    parser.add_argument("--configs", metavar="FILES", help="config files, with commas (default: the benchmark's own)")
    parser.add_argument("--photos", metavar="DIR", help="JPEG files to decode (default: some are made up)")
    parser.add_argument("--networks", metavar="NAMES", help="of steps, inference and zoo, with commas")
    parser.add_argument("--page", metavar="FILE", help="of zoo: the page whose tables are made anew, as docs/zoo.md")
    parser.add_argument(
        "--cpu_time", action="store_true",
        help="of zoo: milliseconds of the processor, not of the clock; where other work runs, behind `taskset -c 0`",
    )  # fmt: skip
    parser.add_argument("--torch_python", metavar="FILE", help="an interpreter that has PyTorch, to compare with")
    parser.add_argument("--rounds", type=int, default=7, help="of which the median is taken (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="of mnist and cifar10 (default: %(default)s)")
    parser.add_argument("--output", default="runs/benchmark", metavar="DIR", help="default: %(default)s")
    arguments = parser.parse(argv)

    from benchmarks import measure
    from benchmarks.flags import cannot_write, read_settings
    from benchmarks.timing import as_text
    from cnn_jax.runs.directory import write_json
    from cnn_jax.runs.environment import describe_environment

    settings = read_settings(arguments)
    results = {}
    path = Path(settings.output) / "benchmark.json"
    for name, tables in measure(settings, arguments.only):
        print("\n\n".join(map(as_text, tables)), flush=True)
        results[name] = tables
        try:  # each time: the next one may take long, or fail
            write_json(path, {"environment": describe_environment(), "results": results})
        except OSError as error:
            raise cannot_write(settings.output, error) from error
    print(f"written: {path}")


if __name__ == "__main__":
    command_line.run(main)
