"""Slack and e-mail through Airflow's own notifiers, against a webhook and a mail server on this machine."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from bridge.in_airflow.channels import send_by_email, send_to_slack
from bridge.in_airflow.notifier import BridgeNotifier
from bridge.notifications import mail, slack
from bridge.notifications.message import Message, compose
from tests.mail_sink import MailSink, mail_sink

HOSTILE = "{{ var.value.secret }} {% for x in y %} <!channel> <b>\r\nBcc: all@example.org"
MESSAGE = compose(HOSTILE, failure=HOSTILE, links={"Airflow": "http://a"})
SECRET = "T1/B1/very-secret-token"


def connect(monkeypatch: pytest.MonkeyPatch, conn_id: str, **parts: Any) -> None:
    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(parts))


@pytest.fixture
def webhook(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> HTTPServer:
    """Where the connection `slack_test` leads."""
    connect(monkeypatch, "slack_test", conn_type="slackwebhook", host=httpserver.url_for(""), password=SECRET)
    return httpserver


def connect_mail(monkeypatch: pytest.MonkeyPatch, sink: MailSink) -> None:
    extra = {"from_email": "airflow@example.org", "disable_ssl": True, "disable_tls": True, "retry_limit": 0}
    connect(monkeypatch, "smtp_default", conn_type="smtp", host="127.0.0.1", port=sink.port, extra=json.dumps(extra))


def test_slack_gets_the_message_and_no_template_of_others(webhook: HTTPServer) -> None:
    webhook.expect_request(f"/{SECRET}", method="POST").respond_with_data("ok")
    assert send_to_slack(MESSAGE, "slack_test").sent
    [(request, _)] = webhook.log
    sent = request.get_json()
    assert sent | {"unfurl_links": None, "unfurl_media": None} == slack.as_payload(MESSAGE) | {
        "unfurl_links": None,
        "unfurl_media": None,
    }
    assert "{{ var.value.secret }}" in json.dumps(sent)


def test_a_mail_gets_there_with_the_headers_that_were_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    with mail_sink() as sink:
        connect_mail(monkeypatch, sink)
        assert send_by_email(MESSAGE, "team@example.org, me@example.org", "smtp_default").sent
    [found] = sink.mails
    assert sink.recipients == ["team@example.org", "me@example.org"]
    assert (found["From"], found["Bcc"]) == ("airflow@example.org", None)
    assert found["Subject"] == mail.subject(MESSAGE)
    body = found.get_body(("html",))
    assert body is not None
    assert body.get_content().strip() == mail.as_html(MESSAGE)


@pytest.mark.parametrize("answer", ["refuses", "is not there", "is no connection"])
def test_a_channel_that_fails_is_told_in_the_log_and_fails_nothing(
    answer: str,
    webhook: HTTPServer,
    unused_tcp_port: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    webhook.expect_request(f"/{SECRET}").respond_with_data("no_service", status=404)
    slack_conn, smtp_conn = "slack_test", "smtp_default"
    with mail_sink("550 not from you") as sink:
        connect_mail(monkeypatch, sink)
        if answer == "is not there":
            here = f"http://127.0.0.1:{unused_tcp_port}"
            connect(monkeypatch, "slack_test", conn_type="slackwebhook", host=here, password=SECRET)
            connect_mail(monkeypatch, MailSink(unused_tcp_port))
        elif answer == "is no connection":
            slack_conn = smtp_conn = "nobody_made_it"
        told = BridgeNotifier(slack_conn_id=slack_conn, email_to=["team@example.org"], smtp_conn_id=smtp_conn)
        with caplog.at_level(logging.WARNING):
            told.tell(MESSAGE)
    assert "Slack was not told" in caplog.text
    assert "The mail server was not told" in caplog.text
    assert caplog.text.count(MESSAGE.as_text().splitlines()[0]) == 2
    assert "very-secret-token" not in caplog.text


def test_channels_are_chosen_by_the_environment_and_each_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, Any]] = []

    def hears(channel: str) -> Any:
        def hear(_: Message, *to: Any) -> None:
            told.append((channel, to))

        return hear

    for name, channel in (("send", "discord"), ("send_to_slack", "slack"), ("send_by_email", "email")):
        monkeypatch.setattr(f"bridge.in_airflow.notifier.{name}", hears(channel))
    for name in ("DISCORD_WEBHOOK_URL", "NOTIFY_SLACK_CONN_ID", "NOTIFY_EMAIL_TO", "NOTIFY_SMTP_CONN_ID"):
        monkeypatch.delenv(name, raising=False)

    BridgeNotifier().tell(MESSAGE)
    assert told == [("discord", (None,))]  # which logs it
    told.clear()
    monkeypatch.setenv("NOTIFY_SLACK_CONN_ID", "slack_test")
    monkeypatch.setenv("NOTIFY_EMAIL_TO", "team@example.org")
    BridgeNotifier().tell(MESSAGE)
    assert told == [("slack", ("slack_test",)), ("email", ("team@example.org", "smtp_default"))]
    told.clear()
    monkeypatch.setenv("DISCORD_WEBHOOK_URL", "http://discord")
    monkeypatch.setenv("NOTIFY_SMTP_CONN_ID", "smtp_mine")
    BridgeNotifier(slack_conn_id="slack_other").tell(MESSAGE)
    assert told == [
        ("discord", ("http://discord",)),
        ("slack", ("slack_other",)),
        ("email", ("team@example.org", "smtp_mine")),
    ]
