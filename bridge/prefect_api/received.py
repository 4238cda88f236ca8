"""What came back for a request: Prefect's answer, somebody else's, or where the answer is to be had.

Pure: a response and its bytes in, an `Answer`, a `Fault` or the next request out. Sends nothing.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import httpx

from bridge.prefect_api.exchange import Answer, Request, Undecodable
from bridge.prefect_api.retrying import PASSING_STATUSES, Fault

_ANYBODYS_STATUSES = PASSING_STATUSES | {401, 407, 413, 414, 431}
"""They mean the same whoever answers: a proxy may be the one that wants the credentials, or finds a request too large.
"""

MOST_REDIRECTS = 5

_HARMLESS_HEADERS = {"accept", "accept-encoding", "connection", "user-agent", "host", "content-length", "content-type"}

_WITHOUT_ID = re.compile(r"\bflow_runs/(?![0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}(/|$))[^/]+(/set_state)?$")
"""A path of a flow run in which no id stands where one should."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A request and where it is sent, after so many redirects; `trusted` is whether credentials may go there."""

    request: Request
    url: str
    redirects: int = 0
    trusted: bool = True

    def built_by(self, http: httpx.Client | httpx.AsyncClient) -> httpx.Request:
        """The request for that client; without credentials where none may go."""
        built = http.build_request(self.request.method, self.url, json=self.request.json)
        if not self.trusted:
            for name in set(built.headers) - _HARMLESS_HEADERS:
                del built.headers[name]
        return built


def follow(response: httpx.Response, page: bytes, sent: Sent) -> Sent | Answer | Fault:
    """What came, or where it is to be had: redirects lead on within the same host alone."""
    if not 300 <= response.status_code < 400:
        return _answer(response, page)
    here, told = response.url, response.headers.get("location", "")
    there = here.join(told)
    said = f"HTTP {response.status_code} from {_shown(here)}, a redirect to {_shown(there) if told else 'nowhere'}"
    keeps_method = response.status_code in {307, 308} or sent.request.method == "GET"
    goes_down = here.scheme == "https" and there.scheme != "https"
    if not told or there.scheme not in {"http", "https"} or there.host != here.host or goes_down or not keeps_method:
        return Fault(f"{said}, which is not followed; is that the address of the API?")
    if sent.redirects == MOST_REDIRECTS:
        return Fault(f"{said}, the last of {MOST_REDIRECTS}")
    same_place = (there.scheme, there.port) == (here.scheme, here.port)
    goes_up = (here.scheme, here.port, there.scheme, there.port) == ("http", None, "https", None)
    trusted = sent.trusted and (same_place or goes_up)
    return Sent(sent.request, str(there), sent.redirects + 1, trusted)


def _answer(response: httpx.Response, page: bytes) -> Answer | Fault:
    """What came, unless it is somebody else's word: a proxy's page, or the web interface's, says nothing of a run."""
    status, body = response.status_code, None
    try:
        body = json.loads(page) if page else None
    except RecursionError:
        body = Undecodable()
    except ValueError as error:
        if not isinstance(error, json.JSONDecodeError | UnicodeDecodeError):  # a number of thousands of digits
            return Answer(status, Undecodable(), dict(response.headers), _shown(response.url))
        if response.is_success:
            return Fault(f"a page that is no JSON came from {_shown(response.url)}; does the address lack /api?")
        body = page.decode(errors="replace")[:300]
    if response.is_error and status not in _ANYBODYS_STATUSES and not _is_prefects_refusal(response, body):
        return Fault(
            f"HTTP {status} that is not Prefect's own answer ({str(body or 'empty')[:100]!r}) from "
            f"{_shown(response.url)}: there is no Prefect API at this address, or not yet; does it lack /api?",
            sent=response.is_server_error,
        )
    return Answer(status, body, dict(response.headers), _shown(response.url))


def _is_prefects_refusal(response: httpx.Response, body: Any) -> bool:
    if not isinstance(body, dict) or body.keys().isdisjoint({"detail", "exception_message"}):
        return False
    # FastAPI's words for a path that it does not have. Prefect names what it does not find, and says so itself of what
    # is no id; its Cloud has no version.
    if response.status_code != 404 or body.get("detail") != "Not Found":
        return True
    return response.url.path.endswith("/admin/version") or _WITHOUT_ID.search(response.url.path) is not None


def _shown(url: httpx.URL) -> str:
    """The address without what may be secret in it."""
    return str(url.copy_with(userinfo=b"", query=None, fragment=None))
