"""Whether a request that changes something comes from our own pages. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

READING = frozenset({"GET", "HEAD", "OPTIONS"})


def is_our_own(method: str, headers: Mapping[str, str], own_addresses: tuple[str, ...]) -> bool:
    """Whether the request may go on; `headers` have lower-case names, `own_addresses` are Airflow's own URLs.

    Airflow's cookie goes along with a form that another site posts. Browsers say where a request comes from
    (Sec-Fetch-Site, else Origin); one that says neither is refused, unless it bears a token of its own, which no other
    site could add. As OWASP's Cross-Site Request Forgery Prevention Cheat Sheet has it ("Fetch Metadata").
    """
    if method in READING or headers.get("authorization", "").lower().startswith("bearer "):
        return True
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = urlsplit(headers.get("origin", "")).netloc
    allowed = {headers.get("host", ""), *(urlsplit(address).netloc for address in own_addresses)} - {""}
    return origin in allowed
