"""Wrong labels: folds name them as far as a trial bears it out, a model none of what it was trained on."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cnn_jax.audit.audit import audit
from cnn_jax.audit.labels import Judged, judge_by_model
from cnn_jax.audit.model import was_trained_on
from cnn_jax.audit.quality import Entry, Record
from cnn_jax.errors import InputError
from tests.support.helpers import script, tiny_config
from tests.support.made_up import read_page


def stripes_with(wrong: np.ndarray, folder: Path, count: int = 400) -> Any:
    """The config of an archive of noisy stripes in four directions, of which these have a wrong label."""
    random = np.random.RandomState(0)
    true = np.arange(count) % 4
    labels = true.copy()
    labels[wrong] = (labels[wrong] + random.randint(1, 4, len(wrong))) % 4
    rows, columns = np.mgrid[:16, :16]
    along = np.stack([rows, columns, rows + columns, rows - columns])[true]
    waves = np.sin(2 * np.pi * (along / 5 + random.rand(count, 1, 1)))
    images = np.clip(128 + 50 * waves + 50 * random.normal(size=waves.shape), 0, 255).astype(np.uint8)
    folder.mkdir(exist_ok=True)
    np.savez(folder / "stripes.npz", image=images, label=labels, class_names=np.array(list("abcd")))
    return tiny_config(data__source="npz", data__dir=str(folder / "stripes.npz"))


def test_folds_name_wrong_labels(tmp_path: Path) -> None:
    """25 of 400: most of them are found, and what is called mislabelled is."""
    wrong = np.random.RandomState(0).choice(400, 25, replace=False)
    result = audit(stripes_with(wrong, tmp_path / "set"), tmp_path / "out", folds=3)
    findings = {finding["kind"]: finding for finding in result.report["findings"]}
    figures = result.report["labels"]
    assert figures["folds"] == 3
    likely = findings["likely mislabelled"]
    named = [picture["index"] for picture in likely["pictures"]]
    assert np.isin(named, wrong).mean() >= 0.7
    assert np.isin(wrong, named).mean() >= 0.8
    assert figures["wrong_labels_at_most"] == pytest.approx(25 / 400, abs=0.03)
    assert f"no more than about {100 * figures['precision_of_likely_at_most']:.0f} have a label" in likely["about"][2]
    page = read_page(result.page)
    assert all(line in page.text for line in likely["about"])


def test_too_few_pictures_for_folds(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least 50 pictures"):
        audit(stripes_with(np.zeros(0, int), tmp_path, count=30), tmp_path / "out", folds=5)
    assert not (tmp_path / "out").exists()
    refused = script("audit_data.py", "--dir=x", "--folds=1")
    assert refused.returncode == 2
    assert "at least 2 folds" in refused.stderr


def test_a_model_does_not_judge_what_it_saw() -> None:
    """The same opinions: of new pictures they name wrong labels, of those that the model was trained on none."""
    random = np.random.RandomState(0)
    true = np.arange(800) % 4
    labels = true.copy()
    wrong = random.choice(800, 40, replace=False)
    labels[wrong] = (labels[wrong] + random.randint(1, 4, 40)) % 4
    probabilities = 0.9 * np.eye(4)[true] + random.dirichlet(np.ones(4), 800) * 0.1
    judged = Judged(np.arange(800), labels, "abcd")
    new, old, half = (judge_by_model(judged, probabilities, np.arange(800) < seen) for seen in (0, 800, 400))
    found = {finding.kind: finding for finding in new.findings}
    likely = {suspect.row for suspect in found["likely mislabelled"].suspects}
    assert len(likely) > 20
    assert likely <= set(wrong)
    assert not any("was trained on these" in line for finding in new.findings for line in finding.about)
    (hard,) = old.findings
    assert hard.kind == "hard for this model"
    assert {suspect.row for suspect in hard.suspects} == set(wrong)
    assert "was trained on these" in hard.about[0]
    likely_half = next(finding for finding in half.findings if finding.kind == "likely mislabelled")
    assert likely_half.suspects
    assert all(suspect.row >= 400 for suspect in likely_half.suspects)


def test_which_pictures_a_model_saw() -> None:
    """The training split of its own data and of their copies; other splits and other data are new to it."""
    own = tiny_config(data__source="folder", data__dir="photos")
    run: Any = SimpleNamespace(config=own, resolved={"fingerprint": "f"})
    moved = tiny_config(data__source="folder", data__dir="elsewhere")
    train, test = (Entry(split, 0, 0, "x", "", Record()) for split in ("train", "test"))
    for config, identity, expected in ((own, "other", True), (moved, "f", True), (moved, "other", False)):
        source: Any = SimpleNamespace(identity=identity)
        trained_on = was_trained_on(run, source, config)
        assert trained_on(train) == expected
        assert not trained_on(test)
