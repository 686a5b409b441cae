"""What a run directory keeps when its run goes on."""

from pathlib import Path

from cnn_jax.runs.directory import open_run_directory
from tests.support.helpers import tiny_config

OF_THE_END = ["summary.json", "evaluation.json", "evaluation_validation.json", "predictions.csv",
              "predictions_all_new.csv", "plots/confusion.png", "plots/mistakes_validation.png",
              "plots/overview.png"]  # fmt: skip


def test_a_longer_run_drops_its_evaluations(tmp_path: Path) -> None:
    """What was found with other weights is gone; what is still true stays."""
    (tmp_path / "plots").mkdir()
    for name in (*OF_THE_END, "plots/curves.png", "metrics.jsonl"):
        (tmp_path / name).touch()
    open_run_directory(tmp_path, tiny_config(), {})
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"config.json", "environment.json", "plots/curves.png", "metrics.jsonl"}
