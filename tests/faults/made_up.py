"""Answers that Prefect has not given: of a gateway, of a login page, of another API, of an empty Prefect. Pure."""

from __future__ import annotations

import json

from tests.faults.faults import Fault
from tests.faults.raw_http import response

PAGE = b"<!doctype html><title>Sign in</title><p>This is not the page that you are looking for.</p>"
WORDS: dict[str, bytes] = {
    "nothing": b"",
    "braces": b"{}",
    "null": b"null",
    "a list": b'[{"status": "ok"}]',
    "a text": b'"ok"',
    "a number": b"200",
    "another API": b'{"status": "success", "data": {"id": 17, "name": "something else"}, "errors": []}',
}
"""What somebody else answers with 200 and as JSON."""


def made_up(fault: Fault, place: str) -> bytes:
    """The answer of somebody else that a fault names; `place` is where a redirect leads."""
    kind = fault.kind.split(" ")[0]
    if kind == "page":
        return response(200, b"text/html", PAGE)
    if kind == "words":
        return response(200, b"application/json", WORDS[fault.words])
    if kind == "redirect":
        return response(fault.status, b"text/html", PAGE, location=place)
    body = json.dumps({"detail": "made up by the proxy"}).encode()
    return response(fault.status, b"application/json", body, retry_after=fault.retry_after_seconds)


def of_an_empty_prefect(path: str) -> bytes:
    """What a Prefect says in which there is nothing."""
    if path.endswith(("/filter", "/paginate")):
        return response(200, b"application/json", b"[]")
    if path.endswith(("/health", "/ready", "/version")):
        return response(200, b"application/json", b"true")
    return response(404, b"application/json", b'{"detail": "Not found"}')
