"""A registry that cannot be asked is said in one message, whichever way it is away."""

from __future__ import annotations

import multiprocessing
import socket
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from factory.errors import RegistryAway
from flows.adapters import registry
from flows.adapters.retries import is_transient


def test_a_registry_that_does_not_answer_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.socket() as taken:  # bound and not listening: nobody else can answer there
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(
            RegistryAway, match=rf"MLflow at http://…@127.0.0.1:{port} cannot be asked.*Start it"
        ) as away:
            registry.connect(f"http://user:secret@127.0.0.1:{port}")
    assert "secret" not in str(away.value)
    assert "\n" not in str(away.value)
    assert is_transient(away.value)


def test_a_file_that_is_no_registry_is_named(tmp_path: Path) -> None:
    (tmp_path / "mlflow.sqlite").write_text("no database\n" * 100)
    with pytest.raises(RegistryAway, match=r"mlflow\.sqlite cannot be asked.*MLFLOW_TRACKING_URI") as away:
        registry.connect(f"sqlite:///{tmp_path / 'mlflow.sqlite'}")
    assert not is_transient(away.value)


def connect_together(tracking_uri: str, together: Barrier) -> None:
    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401 - what takes long, so that all ask at once

    together.wait(300)
    registry.connect(tracking_uri)


def test_processes_that_ask_a_new_registry_at_once_are_all_answered(tmp_path: Path) -> None:
    forking = multiprocessing.get_context("forkserver")
    forking.set_forkserver_preload(["mlflow.store.tracking.sqlalchemy_store"])
    together = forking.Barrier(2)
    asked = (f"sqlite:///{tmp_path / 'mlflow.sqlite'}", together)
    begun = [forking.Process(target=connect_together, args=asked) for _ in range(2)]
    for each in begun:
        each.start()
    for each in begun:
        each.join()
    assert [each.exitcode for each in begun] == [0, 0]
