"""MLflow: parameters, figures per step, tags, files, and the model of a run."""

import contextlib
import getpass
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cnn_jax.config.tree import flatten
from cnn_jax.tracking.mlflow_model import stored_model

_DEFAULT_STORE = "sqlite:///mlflow.db"
_LONGEST_PARAM, _PARAMS_A_BATCH, _LONGEST_TAG = 6000, 100, 5000  # what MLflow takes
_FILES = ("config.json", "environment.json", "metrics.jsonl", "summary.json")


def mlflow_is_on(choice: str) -> bool:
    """`auto` follows MLflow's own environment."""
    return choice == "on" or (choice == "auto" and bool(os.environ.get("MLFLOW_TRACKING_URI")))


class MlflowTracker:
    """Logs `split_metric` against the step into MLFLOW_TRACKING_URI, or mlflow.db in the working directory.

    The run is named after its directory; a resumed run goes on in the same one, whose id is in WORKDIR/mlflow_id. No
    run is made the active one of the process, and MLflow's global settings stay as they are.

    Args:
      workdir: the run directory.
      config: of the run, nested.
      sent: called whenever something has been sent.
    """

    def __init__(self, workdir: Path, config: Mapping[str, Any], sent: Callable[[], None] = lambda: None):
        self._workdir, self._sent = workdir, sent
        uri = os.environ.get("MLFLOW_TRACKING_URI") or _DEFAULT_STORE
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow import MlflowClient  # before `_quiet`: it sets up its loggers

        with _quiet():
            with _alone(uri):  # two processes must not make the tables at once
                self._client = MlflowClient(tracking_uri=uri)
                experiment = self._experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME") or "cnn_jax")
            environment = _environment(workdir)
            self._id = self._resumed() or self._new(experiment, environment)
            self._log_config(config, environment)
        for name in ("config.json", "environment.json"):
            self.log_artifact(workdir / name)

    def _experiment(self, name: str) -> str:
        found = self._client.get_experiment_by_name(name)
        return found.experiment_id if found is not None else self._client.create_experiment(name)

    def _resumed(self) -> str | None:
        """The id of this directory's run, running again; None where the store does not know it."""
        from mlflow.exceptions import MlflowException

        file = self._workdir / "mlflow_id"
        if not file.exists():
            return None
        try:
            run_id = file.read_text().strip()
            if self._client.get_run(run_id).info.lifecycle_stage != "active":
                return None
            self._client.update_run(run_id, status="RUNNING")
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise
        return run_id

    def _new(self, experiment: str, environment: Mapping[str, Any]) -> str:
        tags = {"mlflow.source.name": sys.argv[0], "mlflow.source.type": "LOCAL"}
        with contextlib.suppress(Exception):  # a user id without a name
            tags["mlflow.user"] = getpass.getuser()
        if environment.get("git_commit"):
            tags["mlflow.source.git.commit"] = environment["git_commit"]
        run = self._client.create_run(experiment, run_name=self._workdir.absolute().name, tags=tags)
        (self._workdir / "mlflow_id").write_text(run.info.run_id)
        return run.info.run_id

    def _log_config(self, config: Mapping[str, Any], environment: Mapping[str, Any]) -> None:
        """MLflow's parameters never change: what a longer run changes is a tag `now.KEY`."""
        from mlflow.entities import Param, RunTag

        before = self._client.get_run(self._id).data.params
        params = {key: str(value)[:_LONGEST_PARAM] for key, value in flatten(config).items()}
        new = [Param(key, value) for key, value in params.items() if key not in before]
        for start in range(0, len(new), _PARAMS_A_BATCH):
            self._client.log_batch(self._id, params=new[start : start + _PARAMS_A_BATCH])
        tags = {f"now.{key}": value for key, value in params.items() if before.get(key, value) != value}
        tags |= {
            name: value if isinstance(value, str) else json.dumps(value)
            for name, value in environment.items()
            if name in ("command_line", "devices", "hosts", "packages", "python", "platform") and value is not None
        }
        self._client.log_batch(self._id, tags=[RunTag(key, value[:_LONGEST_TAG]) for key, value in tags.items()])

    def log(self, step: int, metrics: Mapping[str, Any]) -> None:
        figures = {f"{metrics['split']}_{k}": v for k, v in metrics.items() if k not in ("split", "epoch")}
        self._log_metrics({"epoch": metrics["epoch"], **figures}, step)

    def _log_metrics(self, figures: Mapping[str, Any], step: int) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        with _quiet():
            self._client.log_batch(self._id, metrics=[Metric(k, float(v), now, step) for k, v in figures.items()])

    def log_artifact(self, path: Path) -> None:
        if path.exists():
            folder = path.parent.relative_to(self._workdir).as_posix()
            self._send(path, None if folder == "." else folder)

    def _send(self, path: Path, folder: str | None) -> None:
        with _quiet():
            self._client.log_artifact(self._id, str(path), folder)
        self._sent()

    def finish(self, summary: Mapping[str, Any]) -> None:
        """With a summary: its figures as `final_...`, the files, the model, and the run is FINISHED; else KILLED."""
        for name in _FILES:
            self.log_artifact(self._workdir / name)
        if summary:
            figures = {
                f"final_{key}": value
                for key, value in summary.items()
                if isinstance(value, int | float) and not isinstance(value, bool) and key != "seed"
            }
            self._log_metrics(figures, int(summary["steps"]))
            with _quiet(), stored_model(self._workdir) as model:
                for path in sorted(path for path in model.rglob("*") if path.is_file()):
                    self._send(path, (Path("model") / path.parent.relative_to(model)).as_posix())
        self._client.set_terminated(self._id, "FINISHED" if summary else "KILLED")


def _environment(workdir: Path) -> dict[str, Any]:
    try:
        content = json.loads((workdir / "environment.json").read_text())
        return content if isinstance(content, dict) else {}
    except (OSError, ValueError):
        return {}


@contextlib.contextmanager
def _alone(uri: str) -> Iterator[None]:
    """While a SQLite store is opened, no other process of ours does the same: the first makes its tables."""
    file = uri.removeprefix("sqlite:///")
    if file == uri:
        yield
        return
    import fcntl

    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # some file systems have no locks
            folder = os.open(Path(file).absolute().parent, os.O_RDONLY)
            stack.callback(os.close, folder)
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """MLflow and its migrations tell how they make tables, urllib3 how often it tries; only errors are of interest."""
    loggers = [logging.getLogger(name) for name in ("mlflow", "alembic", "urllib3.connectionpool")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
