"""Trains what a config describes, in a run directory.

  cnn_jax train --config=finetune --config.data.dir=photos --workdir=runs/photos    your own images, a folder per class
  cnn_jax train                                                                     handwritten digits, no download
  cnn_jax train --config=mnist_cnn --workdir=runs/first --config.optimizer.learning_rate=0.05

The same command again resumes an interrupted run; a larger num_epochs extends a finished one. On several hosts the
command runs once on each, all with the same --workdir on a file system that they share; in a job of SLURM, Open MPI,
GKE or a Cloud TPU they find each other, elsewhere by --coordinator, --num_hosts and --host.
"""

from collections.abc import Sequence

from cnn_jax.cli import command_line
from cnn_jax.cli.signals import Shutdown


def main(argv: Sequence[str], shutdown: Shutdown) -> None:
    parser = command_line.Parser(__doc__, with_config=True)
    parser.add_argument("--workdir", metavar="DIR", help="the run directory (default: runs/CONFIG_NAME)")
    parser.add_argument("--dry_run", action="store_true", help="say what a step would take, and train nothing")
    parser.add_argument("--profile", nargs="?", const=5, default=0, type=int, metavar="N", help="trace N (5) calls")
    group = parser.add_argument_group("several hosts")
    group.add_argument("--coordinator", metavar="HOST:PORT", help="where host 0 can be reached, and a port free there")
    group.add_argument("--num_hosts", type=int, metavar="N", help="how many there are; 1: only this one, in a job too")
    group.add_argument("--host", type=int, metavar="I", help="the number of this one, from 0")
    arguments = parser.parse(argv)
    if arguments.profile < 0:
        parser.error(f"--profile={arguments.profile}: must be at least 1")
    config = parser.load_config(arguments.config)
    workdir = arguments.workdir or command_line.default_workdir(arguments.config)

    from cnn_jax.distributed import hosts

    with hosts.connected(arguments.coordinator, arguments.num_hosts, arguments.host):
        if arguments.dry_run:
            from cnn_jax.experiment.dry_run import describe_costs

            lines = describe_costs(config)
        else:
            from cnn_jax.config import register
            from cnn_jax.experiment import fit
            from cnn_jax.experiment.ending import describe_end

            summary = fit(config, workdir, profile=arguments.profile, shutdown=shutdown)
            lines = describe_end(summary, config, workdir, arguments.config if register.has_names() else None)
        if hosts.is_primary():
            print(lines)
