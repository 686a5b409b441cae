"""Records labels of MNIST, a tenth of them flipped, what models say of them, and which of them cleanlab suspects.

  TFDS_DATA_DIR=... python tests/tools/make_label_fixture.py models tests/fixtures/flipped_labels.npz
  python -m venv cleanlab && cleanlab/bin/pip install cleanlab==2.9.0
  cleanlab/bin/python tests/tools/make_label_fixture.py cleanlab tests/fixtures/flipped_labels.npz

Models: 10,000 training images, 1,000 of whose labels are changed to another class at random; a small CNN for each of
five folds is trained on the other four, flipped labels and all, and judges the fold. 2,000 images are recorded: `true`
and `given` labels uint8 [N], `probabilities` float16 [N, 10]. Cleanlab: bool [N] for each of its filters.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

IMAGES, FLIPPED, FOLDS, RECORDED = 10_000, 1_000, 5, 2_000
FILTERS = (
    "prune_by_noise_rate", "prune_by_class", "both", "confident_learning", "predicted_neq_given",
    "low_normalized_margin", "low_self_confidence",
)  # fmt: skip


def ask_models() -> dict[str, np.ndarray]:
    import cnn_jax
    from cnn_jax.config.tree import default_config
    from cnn_jax.data import load

    config = default_config(model="cnn", optimizer="adamw", schedule="OneCycleLR")
    config.data.source, config.data.name = "tfds", "mnist"
    mnist = load(config.data).train
    random = np.random.RandomState(0)
    chosen = random.permutation(len(mnist))[:IMAGES]
    images, true = mnist.read(chosen), mnist.labels[chosen].astype(np.int64)
    given = true.copy()
    flipped = random.permutation(IMAGES)[:FLIPPED]
    given[flipped] = (true[flipped] + random.randint(1, 10, FLIPPED)) % 10
    config = default_config(model="cnn", optimizer="adamw", schedule="OneCycleLR")
    config.model.filters, config.model.hidden, config.num_epochs = (8, 16), (), 3
    config.optimizer.learning_rate, config.batch_size = 5e-3, 100
    config.data.validation, config.data.test = 0, 0
    probabilities = np.zeros((IMAGES, 10))
    fold = np.arange(IMAGES) % FOLDS
    for number in range(FOLDS):
        with tempfile.TemporaryDirectory() as folder:
            cnn_jax.fit(config, folder, data=(images[fold != number], given[fold != number]))
            judged = cnn_jax.load_run(folder).predict(images[fold == number])
            probabilities[fold == number] = judged.probabilities
    return {
        "true": true[:RECORDED].astype(np.uint8), "given": given[:RECORDED].astype(np.uint8),
        "probabilities": probabilities[:RECORDED].astype(np.float16),
    }  # fmt: skip


def ask_cleanlab(recorded: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    from cleanlab.filter import find_label_issues

    probabilities = recorded["probabilities"].astype(np.float64)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    labels = recorded["given"].astype(np.int64)
    return {name: find_label_issues(labels, probabilities, filter_by=name, n_jobs=1) for name in FILTERS}


def main() -> None:
    who, path = sys.argv[1], Path(sys.argv[2])
    if who == "models":
        np.savez_compressed(path, **ask_models())
        return
    with np.load(path) as stored:
        recorded = {name: stored[name] for name in ("true", "given", "probabilities")}
    np.savez_compressed(path, **recorded, **ask_cleanlab(recorded))


if __name__ == "__main__":
    main()
