"""How a Prefect server's certificate is checked, and what the client shows of itself.

Owns contexts and when they are made anew. Knows nothing of requests.
"""

from __future__ import annotations

import ssl
from functools import lru_cache
from pathlib import Path

from bridge.errors import ConnectionMisconfigured
from bridge.prefect_api.connection import PrefectConnection


def tls_context(connection: PrefectConnection) -> ssl.SSLContext | bool:
    """How to check the server's certificate; raises ConnectionMisconfigured when a file cannot be read.

    Reading the authorities takes tens of milliseconds, so that a context is kept until one of its files changes.
    """
    if connection.verify is False:
        return False
    authorities = connection.verify if isinstance(connection.verify, str) else None
    given = connection.client_certificate or ()
    certificate = (given,) if isinstance(given, str) else tuple(given)
    standard = ssl.get_default_verify_paths().cafile
    try:
        stamps = tuple(_stamp(file) for file in (authorities or standard, *certificate) if file)
        return _context(authorities, certificate, stamps)
    except OSError as error:
        files = f"CA {authorities or 'of the system'}, client certificate {connection.client_certificate or 'none'}"
        raise ConnectionMisconfigured(
            f"A TLS file of the Prefect connection cannot be used ({files}): {error}"
        ) from error


def _stamp(file: str) -> tuple[str, int, int]:
    """What is another once the file is replaced."""
    found = Path(file).stat()
    return file, found.st_mtime_ns, found.st_ino


@lru_cache(maxsize=16)
def _context(
    authorities: str | None,
    certificate: tuple[str, ...],
    stamps: tuple[tuple[str, int, int], ...],  # noqa: ARG001 — part of the cache's key
) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=authorities)
    if certificate:
        context.load_cert_chain(*certificate)
    return context
