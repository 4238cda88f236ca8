"""Whether the stack's ports are free, found out before anything is started."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping

import psutil

from stack.settings import StackError

FIRST_OF_USERS = 1024


def require_free(ports: Mapping[str, int]) -> None:
    """Pass if nobody listens on any of these ports of 127.0.0.1.

    Raises StackError naming each taken port, who holds it where that can be known, and the variable to set.
    """
    refused = {variable: error for variable, port in ports.items() if (error := _refusal(port))}
    if not refused:
        return
    lines = [
        f"  port {ports[name]} {_why(ports[name], error)}: set {name} to another" for name, error in refused.items()
    ]
    example = " ".join(f"{name}={_next_free(ports[name], ports.values())}" for name in refused)
    raise StackError(
        "nothing was started, because\n"
        + "\n".join(lines)
        + f"\n  remedy:   end that process, or e.g. make up {example}; FREE_PORTS=1 takes whatever is free"
    )


def _refusal(port: int) -> OSError | None:
    """What the system says to who would listen there; None where one may."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return error
    return None


def _why(port: int, error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "is not this user's to listen on"
    return f"is taken by {_holder(port)}"


def _next_free(port: int, others: Iterable[int]) -> int:
    """The next port that is free now; far ones may be of those that browsers refuse, as 6000."""
    following = range(max(port + 1, FIRST_OF_USERS), 65536)
    return next((each for each in following if each not in others and _refusal(each) is None), port)


def _holder(port: int) -> str:
    try:
        for connection in psutil.net_connections(kind="tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
    except (psutil.AccessDenied, psutil.NoSuchProcess):
        pass
    return "a process that this user may not see"
