"""Slack and e-mail through the notifiers of Airflow's own providers; their connections hold addresses and passwords.

Owns how a message is put into them and what went wrong. They render what they are given as a Jinja template when they
are called: here they never are, for what others wrote would be a template then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from airflow.sdk.exceptions import AirflowException

from bridge.notifications import mail, slack
from bridge.notifications.delivery import Delivery, deliver
from bridge.notifications.message import Message
from bridge.plain_text import as_line

SLACK_TIMEOUT_SECONDS = 4


def send_to_slack(message: Message, conn_id: str) -> Delivery:
    """Send the message through a connection of type `slackwebhook`; never raises."""

    def attempt() -> None:
        from airflow.providers.slack.notifications.slack_webhook import SlackWebhookNotifier

        payload = slack.as_payload(message)
        SlackWebhookNotifier(
            slack_webhook_conn_id=conn_id,
            timeout=SLACK_TIMEOUT_SECONDS,
            unfurl_links=False,
            unfurl_media=False,
            **payload,
        ).notify({})

    return deliver("Slack", message, lambda: _explained(attempt, "apache-airflow-providers-slack"))


def send_by_email(message: Message, to: str | Sequence[str], conn_id: str) -> Delivery:
    """Send the message to these people through a connection of type `smtp`, whose extra names the sender."""

    def attempt() -> None:
        from airflow.providers.smtp.notifications.smtp import SmtpNotifier

        SmtpNotifier(
            to=to, subject=mail.subject(message), html_content=mail.as_html(message), smtp_conn_id=conn_id
        ).notify({})

    return deliver("The mail server", message, lambda: _explained(attempt, "apache-airflow-providers-smtp"))


def _explained(attempt: Callable[[], None], package: str) -> Delivery:
    try:
        attempt()
    except ImportError as error:
        return Delivery(sent=False, problem=f"{error}: pip install {package}")
    except (AirflowException, OSError, ValueError) as error:  # Airflow masks what its connections keep secret
        return Delivery(sent=False, problem=as_line(f"{type(error).__name__}: {error}"))
    return Delivery(sent=True)
