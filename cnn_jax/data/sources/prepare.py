"""Downloads and prepares a TFDS dataset. The only module that starts TensorFlow; training never imports it."""

import importlib.util
import os
from pathlib import Path

from cnn_jax.cli.programs import install
from cnn_jax.data.sources.tfds import check_known, data_folder, find_prepared
from cnn_jax.errors import InputError


def prepare(name: str, data_dir: str | None = None) -> Path:
    """Prepares the dataset in array_record and returns its folder; one that is prepared already is left as it is.

    Raises:
      InputError: TFDS has no such dataset, TensorFlow is missing, or the download failed.
    """
    root = data_folder(data_dir)
    found = find_prepared(name, root)
    if found is not None:
        return found
    check_known(name, root)
    if importlib.util.find_spec("tensorflow") is None:
        raise InputError(f"preparing a dataset needs TensorFlow, this once: {install('prepare')}")
    # TensorFlow must not take the GPU that a training beside it uses, nor fill the screen.
    os.environ |= {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}

    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder(name, data_dir=str(root), file_format="array_record")
        builder.download_and_prepare()
    except Exception as error:  # TFDS raises whatever its downloaders, checksums and generators do
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise InputError(f"'{name}' could not be downloaded and prepared in {root}: {reason}") from error
    return Path(builder.data_dir)
