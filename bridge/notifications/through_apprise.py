"""How a notification reaches Slack, e-mail and whatever else Apprise knows, where there is no Airflow.

Owns how each service is given the message: what others wrote is text in every one of them. Addresses hold passwords and
tokens; they are never shown.
"""

from __future__ import annotations

import logging
import re
from functools import partial
from typing import TYPE_CHECKING

from bridge.notifications import mail, markdown, slack
from bridge.notifications.delivery import BUDGET_SECONDS, Delivery, deliver, silenced
from bridge.notifications.message import Level, Message
from bridge.plain_text import as_line

if TYPE_CHECKING:
    from apprise import NotifyBase

log = logging.getLogger(__name__)

_KINDS = {Level.SUCCESS: "success", Level.WARNING: "warning", Level.FAILURE: "failure"}
_MARKDOWN_CHARACTERS = 4000


def send(message: Message, addresses: str, *, budget_seconds: float = BUDGET_SECONDS) -> list[Delivery]:
    """Send the message to each of Apprise's addresses, separated by spaces, with commas or without; never raises.

    Each has its own budget; what was not sent is logged.
    """
    try:
        from apprise import Apprise
    except ImportError:
        problem = "Apprise is not installed: pip install apprise"
        return [deliver("Apprise", message, lambda: Delivery(sent=False, problem=problem))]
    services = Apprise()
    with silenced("apprise"):  # it prints an address that it does not understand
        understood = [services.add(address) for address in re.split(r",?\s+", addresses.strip())]
    if not all(understood):
        log.warning("NOTIFY_APPRISE_URLS holds an address that Apprise does not understand: see its list of services")
    return [
        deliver(str(each.service_name), message, partial(_tell, each, message), budget_seconds=budget_seconds)
        for each in services
    ]


def _tell(service: NotifyBase, message: Message) -> Delivery:
    from apprise import Apprise, NotifyFormat
    from apprise.plugins.slack import NotifySlack

    text = message.as_text().partition("\n")[2] or markdown.EMPTY
    if isinstance(service, NotifySlack):
        # as Markdown Apprise would make mentions and links of `!channel>` and `@somebody>` again
        service.notify_format = NotifyFormat.TEXT
        body = slack.escape(text)
    elif service.notify_format == NotifyFormat.HTML:
        body = mail.as_html(message)
    elif service.notify_format == NotifyFormat.MARKDOWN:
        body = markdown.lines(text, _MARKDOWN_CHARACTERS)
    else:
        body = text
    alone = Apprise()
    alone.add(service)
    with silenced("apprise", "urllib3.connectionpool"):
        sent = alone.notify(
            body=body,
            title=as_line(mail.subject(message)),
            notify_type=_KINDS[message.level],
            body_format=service.notify_format,
        )
    return Delivery(sent=bool(sent), problem="" if sent else "Apprise could not send it")
