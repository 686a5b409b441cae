"""Measures what parts of training cost on this machine; prints tables and writes benchmark.json.

scripts/benchmark.py        everything (cifar10 on accelerators only), with all configs of configs/
scripts/benchmark.py --only=envelope --configs=configs/imagenet_resnet50.py    arithmetic for machines not at hand
scripts/benchmark.py --only=steps --networks=cnn --torch_python=TORCH/bin/python    beside Flax and PyTorch
scripts/benchmark.py --only=cifar10 --configs=configs/cifar10_94.py --seeds=25    accuracy and seconds of whole runs
scripts/benchmark.py --only=augment --configs=configs/digits.py,configs/mnist_cnn.py --rounds=5
"""

import json
from collections.abc import Sequence
from pathlib import Path

from cnn_jax import command_line
from cnn_jax.errors import InputError


def main(argv: Sequence[str]) -> None:
    parser = command_line.Parser(__doc__)
    parser.add_argument("--only", metavar="NAME", help="augment, cifar10, data, envelope or steps (default: all)")
    parser.add_argument("--configs", metavar="FILES", help="config files, with commas (default: all of configs/)")
    parser.add_argument("--photos", metavar="DIR", help="JPEG files to decode (default: some are made up)")
    parser.add_argument("--networks", metavar="NAMES", help="of the steps, with commas (default: all)")
    parser.add_argument("--torch_python", metavar="FILE", help="an interpreter that has PyTorch, to compare with")
    parser.add_argument("--rounds", type=int, default=7, help="of which the median is taken (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of cifar10, each config (default: %(default)s)")
    parser.add_argument("--output", default="runs/benchmark", metavar="DIR", help="default: %(default)s")
    arguments = parser.parse(argv)
    for name in ("rounds", "seeds"):
        if getattr(arguments, name) < 1:
            raise InputError(f"--{name}={getattr(arguments, name)}: it must be at least 1")
    shipped = Path(__file__).parent.parent / "configs"
    configs = arguments.configs.split(",") if arguments.configs else sorted(map(str, shipped.glob("*.py")))

    from cnn_jax.benchmarks import BENCHMARKS, usual_benchmarks
    from cnn_jax.benchmarks.steps import SIZES
    from cnn_jax.benchmarks.timing import Settings, as_text
    from cnn_jax.environment import describe_environment

    if arguments.only not in (None, *BENCHMARKS):
        raise InputError(f"--only={arguments.only}: there is no such benchmark; there are {', '.join(BENCHMARKS)}")
    networks = tuple(arguments.networks.split(",")) if arguments.networks else ()
    if unknown := set(networks) - set(SIZES):
        raise InputError(f"--networks={arguments.networks}: there is no {min(unknown)}; there are {', '.join(SIZES)}")
    settings = Settings(configs, arguments.rounds, arguments.photos, arguments.torch_python, networks, arguments.seeds)
    results = {}
    for name in [arguments.only] if arguments.only else usual_benchmarks():
        results[name] = BENCHMARKS[name](settings)
        print("\n\n".join(map(as_text, results[name])))
    path = Path(arguments.output) / "benchmark.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"environment": describe_environment(), "results": results}, indent=2) + "\n")
    except OSError as error:
        raise InputError(f"--output={arguments.output}: it cannot be written ({error.strerror})") from error
    print(f"written: {path}")


if __name__ == "__main__":
    command_line.run(main)
