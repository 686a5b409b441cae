"""Downloads a TFDS dataset and prepares it in array_record, which training reads without TensorFlow.

  cnn_jax prepare --dataset=mnist

It needs TensorFlow, this once, and says how to install it; TensorFlow runs in this process only. Already prepared
datasets are left as they are.
"""

from collections.abc import Sequence

from cnn_jax.cli import command_line


def main(argv: Sequence[str]) -> None:
    parser = command_line.Parser(__doc__)
    parser.add_argument(
        "--dataset", required=True, metavar="NAME", help="its TFDS name: mnist, cifar10, oxford_flowers102, ..."
    )
    parser.add_argument("--data_dir", metavar="DIR", help="where to (default: TFDS_DATA_DIR or ~/tensorflow_datasets)")
    arguments = parser.parse(argv)

    from cnn_jax.data.sources.prepare import prepare

    print(f"prepared: {prepare(arguments.dataset, arguments.data_dir)}")
