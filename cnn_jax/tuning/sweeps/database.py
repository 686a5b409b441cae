"""The database behind a sweep, by its URL. Import it where Optuna is installed."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from cnn_jax.errors import InputError

_SECONDS_FOR_OTHERS = 60.0  # a writer of SQLite waits that long for another one


class _Connection(sqlite3.Connection):
    """Keeps the journal's file from one transaction to the next: to make and delete one takes ten times as long."""

    def __init__(self, *arguments: Any, **named: Any):
        super().__init__(*arguments, **named)
        self.execute("PRAGMA journal_mode=PERSIST")


@contextlib.contextmanager
def open_storage(url: str) -> Iterator[optuna.storages.BaseStorage]:
    """A storage, with its tables made where there were none; its connections are closed at the end.

    Raises:
      InputError: it cannot be opened.
    """
    sqlite: dict[str, Any] = {"connect_args": {"timeout": _SECONDS_FOR_OTHERS, "factory": _Connection}}
    try:
        engine = sqlite if url.startswith("sqlite") else {"pool_pre_ping": True}
        database = optuna.storages.RDBStorage(url, engine_kwargs=engine)
    except ImportError as error:
        raise InputError(f"--storage={shown_url(url)}: its driver is not installed ({reason(error)})") from error
    except Exception as error:  # drivers have errors of their own
        raise InputError(
            f"--storage={shown_url(url)}: it cannot be opened ({reason(error)}); give a database's URL as SQLAlchemy "
            f"takes it, like sqlite:///sweep.db or postgresql+psycopg2://user@host/name"
        ) from error
    try:
        yield optuna.storages.get_storage(database)
    finally:
        database.engine.dispose()


def reason(error: BaseException) -> str:
    """Why a storage failed: the first line of what its driver says."""
    return " ".join((str(error.__cause__ or error).splitlines() or [type(error).__name__])[0].split())


def shown_url(url: str) -> str:
    """A storage's URL without the password."""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return url


def sqlite_file(url: str) -> Path | None:
    """The file of an SQLite URL; None for other databases.

    Raises:
      InputError: the database would be in memory, where no other worker and no later one finds it.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return None  # `open_storage` says it
    if parsed.get_backend_name() != "sqlite":
        return None
    if not parsed.database or parsed.database == ":memory:":
        raise InputError(f"--storage={url}: a database in memory is lost at the end; name a file: sqlite:///FILE")
    path = Path(parsed.database).absolute()
    if not path.parent.is_dir():
        raise InputError(f"--storage={url}: there is no folder {path.parent}")
    return path
