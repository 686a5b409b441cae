"""Runs a sweep file, as `wandb agent` would, with no server and no account.

  cnn_jax sweep --sweep=digits_quick --workdir=runs/digits_quick --jobs=2

The same command again goes on where an earlier one was stopped or killed; a larger --trials makes a sweep longer.
Several processes may work on one sweep: with the same --workdir on a file system that they share, or with the same
--storage, a database's URL, and a --workdir each.
"""

from collections.abc import Sequence
from pathlib import Path

from cnn_jax.cli import command_line
from cnn_jax.cli.signals import Shutdown


def main(argv: Sequence[str], shutdown: Shutdown) -> int:
    parser = command_line.Parser(__doc__)
    parser.add_argument(
        "--sweep",
        metavar="FILE",
        required=True,
        help="a YAML file in wandb's sweep schema, or the name of one that comes along",
    )
    parser.add_argument("--workdir", metavar="DIR", help="trials are its folders trials/NNNN (default: runs/FILE_NAME)")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="trials at once (default: %(default)s)")
    parser.add_argument("--trials", type=int, metavar="N", help="in all (default: the file's run_cap, or the grid)")
    parser.add_argument("--seed", type=int, default=0, help="of everything that is drawn (default: %(default)s)")
    parser.add_argument("--storage", metavar="URL", help="a database for the trials (default: DIR/sweep.db)")
    parser.add_argument(
        "--prune", choices=("file", "hyperband", "median", "none"), default="file",
        help="which trials are stopped early (default: as early_terminate in the file says)",
    )  # fmt: skip
    arguments = parser.parse(argv)
    for name, least in (("jobs", 1), ("trials", 1), ("seed", 0)):
        value = getattr(arguments, name)
        if value is not None and value < least:
            parser.error(f"--{name}={value}: must be at least {least}")

    from cnn_jax.config.files import find_sweep
    from cnn_jax.tuning.sweeps.sweep import Options, run_sweep

    options = Options(arguments.jobs, arguments.trials, arguments.seed, arguments.storage, arguments.prune)
    workdir = Path("runs", Path(arguments.sweep).stem) if arguments.workdir is None else arguments.workdir
    outcome = run_sweep(find_sweep(arguments.sweep), workdir, options, shutdown)
    print(outcome.lines)
    return outcome.status
