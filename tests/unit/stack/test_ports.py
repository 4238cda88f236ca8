"""A port that is taken is found before anything starts."""

import os
import re
import socket

import pytest

from stack.ports import require_free
from stack.settings import StackError, free_ports


def test_free_ports_pass():
    require_free({"MLFLOW_PORT": free_ports(1)[0]})


def test_a_taken_port_is_named_with_its_holder_and_the_variable_to_set():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        with pytest.raises(StackError) as caught:
            require_free({"MLFLOW_PORT": port})

    assert f"port {port} is taken by" in str(caught.value)
    assert f"process {os.getpid()}" in str(caught.value)
    assert "set MLFLOW_PORT" in str(caught.value)


def test_a_port_taken_on_every_interface_counts_as_taken():
    with socket.create_server(("0.0.0.0", 0)) as server, pytest.raises(StackError):  # noqa: S104 - that is the case
        require_free({"AIRFLOW_PORT": server.getsockname()[1]})


def test_the_port_that_is_proposed_is_a_near_one_that_is_free():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        with pytest.raises(StackError) as caught:
            require_free({"MLFLOW_PORT": port, "AIRFLOW_PORT": port + 1})

    proposed = int(re.search(r"MLFLOW_PORT=(\d+)", str(caught.value))[1])
    assert port + 1 < proposed < 65536
    require_free({"MLFLOW_PORT": proposed})
