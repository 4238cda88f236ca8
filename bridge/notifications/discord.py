"""How a notification reaches Discord: bounded in time, never raising, its address never shown.

Owns what Discord's answers mean. What is said is `bridge.notifications.message`'s business.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from bridge.notifications.delivery import BUDGET_SECONDS, Delivery, deliver, silenced
from bridge.notifications.message import Message

if TYPE_CHECKING:
    from requests import Response

REQUEST_TIMEOUT_SECONDS = 4.0
PAUSE_SECONDS = 0.5
"""Between two attempts, where Discord does not say how long to wait."""

log = logging.getLogger(__name__)


def send(message: Message, webhook_url: str | None, *, budget_seconds: float = BUDGET_SECONDS) -> Delivery:
    """Send the message, or log it when there is no address.

    Gives up after `budget_seconds` and never raises: a notification must not fail the pipeline that it speaks of.
    429 (honouring `retry_after`), 5xx and network errors are repeated within the budget; a refusal (4xx) is not.
    """
    if not webhook_url:
        log.info("No Discord address is configured; this would have been sent:\n%s", message.as_text())
        return Delivery(sent=False, problem="no address is configured")
    deadline = time.monotonic() + budget_seconds
    return deliver(
        "Discord", message, lambda: _send_until(deadline, message, webhook_url), budget_seconds=budget_seconds
    )


def _send_until(deadline: float, message: Message, webhook_url: str) -> Delivery:
    from requests import RequestException  # deferred: two thirds of this package's import time

    problem = "no attempt fitted into the time"
    while (left := deadline - time.monotonic()) > 0:
        pause = PAUSE_SECONDS
        try:
            with silenced("urllib3.connectionpool"):  # at DEBUG it prints request paths, the token among them
                response = _post(message, webhook_url, min(left, REQUEST_TIMEOUT_SECONDS))
        except RequestException as error:
            problem = type(error).__name__  # its text holds the address
        else:
            if response.ok:
                return Delivery(sent=True)
            problem = f"HTTP {response.status_code}"
            if response.status_code == 429:
                pause = _retry_after_seconds(response)
            elif response.status_code < 500:
                return Delivery(sent=False, problem=f"refused with {problem}")
        if time.monotonic() + pause >= deadline:
            break
        time.sleep(pause)
    return Delivery(sent=False, problem=problem)


def _post(message: Message, webhook_url: str, timeout_seconds: float) -> Response:
    from discord_webhook import DiscordWebhook

    # api_post_request, not execute: execute parses the body as JSON, which a 204 or a proxy's page is not.
    # Nobody is called: not even a mention that Discord would find in a text is one.
    webhook = DiscordWebhook(
        webhook_url, timeout=timeout_seconds, embeds=[message.as_embed()], allowed_mentions={"parse": []}
    )
    response: Response = webhook.api_post_request()
    return response


def _retry_after_seconds(response: Response) -> float:
    try:
        seconds = float(response.json()["retry_after"])
    except (ValueError, KeyError, TypeError):
        try:
            seconds = float(response.headers.get("Retry-After", PAUSE_SECONDS))
        except ValueError:
            return PAUSE_SECONDS
    return seconds if seconds >= 0 else PAUSE_SECONDS  # neither negative nor "nan"
