"""Settings of the whole suite: strict JAX, a cache folder of its own, shared small runs."""

import os
import signal
import tempfile

from cnn_jax.runtime.startup import jaxlib_version, set_flags

# Before JAX starts. What tests, workers and scripts decode or compile, they do once for all.
_leader = "PYTEST_XDIST_WORKER" not in os.environ
if _leader:
    os.environ["CNN_JAX_TESTS"] = tempfile.mkdtemp(prefix="cnn_jax-tests-")
_session = os.environ["CNN_JAX_TESTS"]
os.environ["XDG_CACHE_HOME"] = f"{_session}/cache"
os.environ["JAX_COMPILATION_CACHE_DIR"] = f"{_session}/compiled"
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"
# Tests compile much and compute little: machine code is made without LLVM's long passes, which halves their time.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
# XLA's older code for fusions is quicker to make, too; its exponentials in float64 are good to 8 digits.
if jaxlib_version() < (0, 11):  # later ones do not know the option, and would end the process
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false")
set_flags()
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Threads of NumPy's and scikit-learn's libraries wait for each other in loops: beside other processes a small fit takes
# many times as long.
for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(name, "1")
os.environ["WANDB_SILENT"] = "true"
for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_SWEEP_ID", "WANDB_RUN_ID"):
    os.environ.pop(name, None)

# A shell's background jobs ignore Ctrl-C, and so would every process that a test starts and interrupts.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import gc  # noqa: E402
import shutil  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from pathlib import Path  # noqa: E402

import jax  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_num_cpu_devices", 8)

# Traced programs are many small objects that live long: to look through all of them for cycles takes a while.
gc.set_threshold(100_000, 50, 100)

ROOT = Path(__file__).parent.parent


def pytest_sessionfinish() -> None:
    if _leader:
        shutil.rmtree(_session, ignore_errors=True)


@pytest.fixture(scope="session")
def torch_results() -> dict[str, np.ndarray]:
    """What PyTorch computed; see tests/tools/make_torch_fixtures.py."""
    with np.load(ROOT / "tests/fixtures/torch.npz", allow_pickle=False) as stored:
        return dict(stored)


@pytest.fixture(scope="session")
def tfds_data() -> str:
    """The folder of prepared datasets; skips where there is none."""
    folder = os.environ.get("TFDS_DATA_DIR")
    if not folder or not (Path(folder) / "mnist").is_dir():
        pytest.skip("no prepared TFDS data: TFDS_DATA_DIR is not set, or holds no mnist")
    return folder


@pytest.fixture(scope="session")
def photographs() -> list[Path]:
    """JPEG files of one photograph each of 240 classes of ImageNet; skips where there are none."""
    prepared = os.environ.get("TFDS_DATA_DIR")
    folder = Path(prepared or "").parent / "imagenet_sample"
    if not prepared or not folder.is_dir():
        pytest.skip("no sample of photographs: there is no imagenet_sample beside TFDS_DATA_DIR")
    return sorted(folder.glob("*/*"))


@pytest.fixture(scope="module")
def no_pictures() -> Iterator[None]:
    """For tests of many runs: the picture of its curves is a fifth of the time of a short one."""
    from cnn_jax.pictures import evaluation, overview, reports

    with pytest.MonkeyPatch.context() as patch:
        drawn = ((reports, "curves"), (evaluation, "confusion"), (evaluation, "mistakes"), (overview, "overview"))
        for module, name in drawn:
            patch.setattr(module, f"plot_{name}", lambda *arguments: arguments[-1])
        yield


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run directory of a small network on the digits; tests read it and leave it as it is."""
    from cnn_jax.experiment.fitting import fit
    from tests.support.helpers import tiny_config

    workdir = tmp_path_factory.mktemp("trained") / "run"
    fit(tiny_config(num_epochs=3), workdir)
    return workdir
