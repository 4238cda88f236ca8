"""What passes is repeated; a bug is not."""

from __future__ import annotations

import sqlite3

import pytest
import requests
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import OperationalError

from factory.errors import CatalogueUnreachable, SnapshotCorrupt
from flows.adapters.retries import is_transient


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(),
        TimeoutError(),
        requests.exceptions.ConnectionError(),
        requests.exceptions.ReadTimeout(),
        OperationalError("select 1", {}, sqlite3.OperationalError("database is locked")),
        OperationalError("select 1", {}, RuntimeError("server closed the connection")),
        MlflowException("API request failed"),
        caused(CatalogueUnreachable("no catalogue"), ConnectionRefusedError()),
    ],
    ids=repr,
)
def test_what_may_pass_is_transient(error: Exception) -> None:
    assert is_transient(error)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("a bug"),
        KeyError("a bug"),
        FileNotFoundError("model.skops"),
        PermissionError("snapshots"),
        OperationalError("select 1", {}, sqlite3.OperationalError("no such table: products")),
        MlflowException.invalid_parameter_value("no such metric"),
        SnapshotCorrupt("altered"),
        caused(SnapshotCorrupt("missing"), FileNotFoundError()),
    ],
    ids=repr,
)
def test_what_would_come_again_is_final(error: Exception) -> None:
    assert not is_transient(error)
