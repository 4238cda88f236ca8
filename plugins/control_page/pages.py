"""How pages become HTML: Jinja2 with autoescape on, for every template and without exception.

Owns filters and what every page is given. Knows nothing of what the pages show.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from bridge.plain_text import as_lines
from plugins.control_page.run_views import ago, in_words

HERE = Path(__file__).parent
ASSETS: Mapping[str, str] = {"control_page.css": "text/css", "control_page.js": "text/javascript"}
VIEWS = (
    ("overview", "Overview", ""),
    ("run", "Run", "run"),
    ("runs", "Runs", "runs"),
    ("timeline", "Over time", "timeline"),
    ("deployments", "Deployments", "deployments"),
    ("promotion", "Promote", "promotion"),
)
HEADERS = {
    # What is shown comes from flows and people; should an escape ever be missed, nothing foreign is executed.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'self'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def show(request: Request, template: str, status: int = 200, *, logged_in: bool = True, **given: Any) -> HTMLResponse:
    """The template's page. It knows the paths of the page and of Airflow, the time, and a token for what it starts."""
    root = request.scope.get("root_path", "")
    page = environment().get_template(template)
    html = page.render(
        root=root,
        airflow=root.rpartition("/")[0],
        views=VIEWS,
        asset_version=asset_version(),
        now=datetime.now(UTC),
        # The two assets want a login as everything does: who has none gets the style within the page, and no script.
        inlined=None if logged_in else style(),
        **{"token": str(uuid4()), **given},
    )
    policy = HEADERS["Content-Security-Policy"]
    if not logged_in:
        policy = policy.replace("style-src 'self'", f"style-src '{style_hash()}'")
    return HTMLResponse(html, status, headers={**HEADERS, "Content-Security-Policy": policy})


@lru_cache(maxsize=1)
def style() -> Markup:
    """The style sheet as it stands in a page."""
    return Markup((HERE / "assets" / "control_page.css").read_text())  # noqa: S704 — our own file


@lru_cache(maxsize=1)
def style_hash() -> str:
    """By which a browser knows that style again, and applies no other."""
    return f"sha256-{b64encode(sha256(style().encode()).digest()).decode()}"


@lru_cache(maxsize=1)
def environment() -> Environment:
    """The templates; a name that is not given is an error, never an empty text."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        finalize=as_read,
        undefined=StrictUndefined,
        auto_reload=False,  # the code that runs fits the templates it began with, whatever becomes of the checkout
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "when": when,
        "clock": clock,
        "day_and_hour": day_and_hour,
        "since": since,
        "duration": in_words,
        "decimal": decimal,
        "change": change,
        "count": count,
        "exact": escape,
    }
    return made


def as_read(shown: object) -> object:
    """What a template shows of anything: a text without characters that hide what it says, or turn it round.

    `exact` is for what a form sends back.
    """
    return as_lines(shown) if isinstance(shown, str) and not isinstance(shown, Markup) else shown


@lru_cache(maxsize=1)
def asset_version() -> str:
    """Changes with the script and the style sheet, so that browsers may keep them."""
    content = b"".join((HERE / "assets" / name).read_bytes() for name in sorted(ASSETS))
    return blake2b(content, digest_size=6).hexdigest()


def when(moment: datetime | None) -> Markup:
    """A time, which the script turns into the viewer's zone."""
    return _time(moment, "moment", moment.strftime("%Y-%m-%d %H:%M UTC") if moment else "")


def clock(moment: datetime | None) -> Markup:
    """The time of day, for what lies close together."""
    return _time(moment, "clock", moment.strftime("%H:%M:%S") if moment else "")


def day_and_hour(moment: datetime | None) -> Markup:
    """A time within some weeks, as short as can be."""
    return _time(moment, "short", moment.strftime("%d %b %H:%M") if moment else "")


def since(moment: datetime | None) -> Markup:
    """How long ago a time is, which the script keeps up to date."""
    return _time(moment, "ago", ago(moment) if moment else "")


def decimal(value: float | None, places: int = 3) -> str:
    """A share or a score."""
    return "–" if value is None else f"{value:.{places}f}"


def change(value: float | None, places: int = 3) -> str:
    """A difference, with its sign; a minus is as wide as a plus, and nothing is negative zero."""
    return "–" if value is None else f"{round(value, places) + 0.0:+.{places}f}".replace("-", "\N{MINUS SIGN}")


def count(value: int | None) -> str:
    """A number of things, with thousands apart."""
    return "–" if value is None else f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def _time(moment: datetime | None, form: str, words: str) -> Markup:
    if moment is None:
        return Markup("–")
    stamp = moment.astimezone(UTC).isoformat(timespec="seconds")
    return Markup('<time datetime="{}" data-as="{}">{}</time>').format(stamp, form, escape(words))
