"""Weights & Biases: the same rows, the config, and the files of a run."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def wandb_mode(choice: str) -> str | None:
    """The mode to start wandb in, or None for not at all.

    `auto` follows wandb's own environment: an agent's sweep, `WANDB_MODE` or `WANDB_API_KEY`.
    """
    if choice == "off":
        return None
    if choice in ("offline", "online"):
        return choice
    mode = os.environ.get("WANDB_MODE", "").lower()
    if mode in ("disabled", "dryrun", "offline", "online", "shared"):
        return {"disabled": None, "dryrun": "offline"}.get(mode, mode)
    return "online" if os.environ.get("WANDB_SWEEP_ID") or os.environ.get("WANDB_API_KEY") else None


class WandbTracker:
    """Logs `split/metric` against the step; a resumed run goes on in the same wandb run."""

    def __init__(self, workdir: Path, config: Mapping[str, Any], mode: Any):
        import wandb

        # None: wandb takes WANDB_RUN_ID, which an agent sets, or makes one up.
        id_file = workdir / "wandb_id"
        run_id = id_file.read_text().strip() if id_file.exists() and "WANDB_RUN_ID" not in os.environ else None
        # An agent has chosen the project, and wandb complains where one is given.
        project = None if os.environ.get("WANDB_SWEEP_ID") else os.environ.get("WANDB_PROJECT", "cnn_jax")
        self._run = wandb.init(
            project=project, name=os.environ.get("WANDB_NAME", workdir.name),
            dir=str(workdir), config=dict(config), id=run_id, resume="allow", mode=mode,
            settings=wandb.Settings(console="off", silent=True),
        )  # fmt: skip
        id_file.write_text(self._run.id)
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")
        for name in ("config.json", "environment.json"):
            self.log_artifact(workdir / name)

    def log(self, step: int, metrics: Mapping[str, Any]) -> None:
        figures = {k: v for k, v in metrics.items() if k not in ("split", "epoch")}
        named = {f"{metrics['split']}_{name}": value for name, value in figures.items()}
        self._run.log({"step": step, "epoch": metrics["epoch"], **named})

    def log_artifact(self, path: Path) -> None:
        if path.exists():
            self._run.save(str(path), base_path=str(path.parent), policy="now")

    def finish(self, summary: Mapping[str, Any]) -> None:
        self._run.summary.update(dict(summary))
        self._run.finish()
