"""Whether the stack's ports are free, found out before anything is started."""

from __future__ import annotations

import socket
from collections.abc import Mapping

import psutil

from stack.settings import StackError


def require_free(ports: Mapping[str, int]) -> None:
    """Pass if nobody listens on any of these ports of 127.0.0.1.

    Raises StackError naming each taken port, who holds it where that can be known, and the variable to set.
    """
    taken = [(variable, port) for variable, port in ports.items() if not _is_free(port)]
    if not taken:
        return
    lines = [f"  port {port} is taken by {_holder(port)}: set {variable} to another port" for variable, port in taken]
    example = " ".join(f"{variable}={port + 1000}" for variable, port in taken)
    raise StackError(
        "nothing was started, because\n"
        + "\n".join(lines)
        + f"\n  remedy:   end that process, or e.g. make up {example}; FREE_PORTS=1 takes whatever is free"
    )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _holder(port: int) -> str:
    try:
        for connection in psutil.net_connections(kind="tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
    except (psutil.AccessDenied, psutil.NoSuchProcess):
        pass
    return "a process that this user may not see"
