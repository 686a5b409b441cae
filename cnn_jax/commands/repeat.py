"""Trains one config several times: mean, spread and interval of its figures, over seeds or folds.

  cnn_jax repeat --seeds=5                                                  digits with the seeds 0 to 4
  cnn_jax repeat --config=mnist_cnn --seeds=3,7,11 --jobs=2
  cnn_jax repeat --config=image_folder --config.data.dir=photos --folds=5

The runs are WORKDIR/seed0, seed1, ... or fold0, fold1, ..., like any other run. With folds each training image is in
the validation split once, and the test split is not touched; cnn_jax evaluate evaluates a fold on it. The same
command again goes on where an earlier one was stopped or killed; more seeds make a repeat longer.
"""

from collections.abc import Sequence
from pathlib import Path

from cnn_jax.cli import command_line
from cnn_jax.cli.signals import Shutdown


def main(argv: Sequence[str], shutdown: Shutdown) -> int:
    parser = command_line.Parser(__doc__, with_config=True)
    parser.add_argument("--seeds", metavar="N", help="how many, from 0; or a list, such as 3,7,11")
    parser.add_argument("--folds", type=int, metavar="K", help="K-fold cross-validation over the training data")
    parser.add_argument("--workdir", metavar="DIR", help="of all runs (default: runs/CONFIG_NAME_seeds or _folds)")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="runs at once (default: %(default)s)")
    arguments = parser.parse(argv)
    if (arguments.seeds is None) == (arguments.folds is None):
        parser.error("give either --seeds, as in --seeds=5, or --folds, as in --folds=5")
    if arguments.jobs < 1:
        parser.error(f"--jobs={arguments.jobs}: must be at least 1")

    from cnn_jax.tuning.repeats.plan import check_overrides, cross_validation, seeds

    plan = cross_validation(arguments.folds) if arguments.seeds is None else seeds(arguments.seeds)
    check_overrides(plan, parser.overrides)
    config = parser.load_config(arguments.config)

    from cnn_jax.tuning.repeats.repeat import run_repeat

    words = [f"--config={arguments.config}", *(f"--config.{key}={value}" for key, value in parser.overrides)]
    workdir = arguments.workdir or f"{command_line.default_workdir(arguments.config)}_{plan.over}s"
    outcome = run_repeat(plan, config, words, Path(workdir), arguments.jobs, shutdown)
    print(outcome.lines)
    return outcome.status
