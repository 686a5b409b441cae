"""The report's part on attribution."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from cnn_jax.reports.attribution_images import Effort
from cnn_jax.reports.report import analyze

QUICK = Effort(images=6, checked=4, placed=12, steps=4, samples=2, masks=8, most_steps=64)


@pytest.mark.slow
def test_every_method_is_checked(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Verdicts in the table are those of the figures; pictures have a row for each explained class."""
    monkeypatch.setattr("cnn_jax.reports.attribution.effort_for", lambda rows: QUICK)
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    report = analyze(run, ["attribution"])
    section, figures = report.sections["attribution"], json.loads(report.files[0].read_text())["parts"]["attribution"]
    [table] = section.tables
    assert len(table.rows) == len(figures["methods"]) + 1 == 10
    for row, of_method in zip(table.rows, figures["methods"].values(), strict=False):
        word = {True: "PASS", False: "FAIL", None: "UNDECIDED"}
        verdicts = [of_method["sanity"]["passes"], of_method["deletion"]["passes"], of_method["insertion"]["passes"]]
        assert [cell.split()[0] for cell in row[3:6]] == [word[each] for each in verdicts]
        assert row[6] == of_method["no_positive_evidence"]
    gaps = figures["methods"]["integrated_gradients"]["completeness"]
    assert gaps["complete"] == (np.array(gaps["gap"]) <= 1e-3).sum()
    mistakes = [each for each in figures["drawn"] if each["label"] != each["prediction"]]
    assert {each["explained"] for each in mistakes} == {
        each[key] for each in mistakes for key in ("label", "prediction")
    }
    assert [picture.file.name for picture in section.pictures] == ["attribution_pixels.png", "attribution_areas.png"]
    assert f"{figures['border']['share']:.1%}" in section.lead[0]
    assert f"{figures['border']['area']:.1%}" in section.lead[0]
