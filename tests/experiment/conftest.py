"""A run that tests compare others with."""

from pathlib import Path

import pytest

from cnn_jax.experiment.fitting import fit
from tests.support.helpers import tiny_config


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workdir = tmp_path_factory.mktemp("reference") / "run"
    fit(tiny_config(), workdir)
    return workdir
