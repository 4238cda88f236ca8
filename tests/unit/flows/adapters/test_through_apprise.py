"""Slack and e-mail through Apprise, against a webhook and a mail server on this machine."""

from __future__ import annotations

import logging

import pytest
from apprise.plugins.slack import NotifySlack
from pytest_httpserver import HTTPServer

from bridge.notifications.message import compose
from bridge.notifications.through_apprise import send
from tests.mail_sink import mail_sink

HOSTILE = "<!channel> !channel> <@U1> <http://evil|Airflow> **x** <script>alert(1)</script>\r\nBcc: all@example.org"
MESSAGE = compose(HOSTILE, failure=HOSTILE, links={"Airflow": "http://a"})
TOKEN = "T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"


@pytest.fixture
def webhook(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> HTTPServer:
    """In the place of hooks.slack.com, whose address Apprise has built in."""
    monkeypatch.setattr(NotifySlack, "webhook_url", httpserver.url_for("/services"))
    return httpserver


@pytest.mark.parametrize("options", ["", "?format=markdown", "?blocks=yes"])
def test_slack_shows_what_others_wrote_as_text(webhook: HTTPServer, options: str) -> None:
    webhook.expect_request(f"/services/{TOKEN}", method="POST").respond_with_data("ok")
    [delivery] = send(MESSAGE, f"slack://{TOKEN}/{options}")
    assert delivery.sent
    [(request, _)] = webhook.log
    [attachment] = request.get_json()["attachments"]
    shown = attachment["text"] if "text" in attachment else attachment["blocks"][1]["text"]["text"]
    assert shown.startswith("&lt;!channel&gt; !channel&gt; &lt;@U1&gt; &lt;http://evil|Airflow&gt; **x**")
    assert shown.endswith("Airflow: http://a")


def test_a_mail_gets_there_with_the_headers_that_were_meant() -> None:
    with mail_sink() as sink:
        [delivery] = send(MESSAGE, f"mailto://127.0.0.1:{sink.port}?from=prefect@example.org&to=team@example.org")
    assert delivery.sent
    [found] = sink.mails
    assert sink.recipients == ["team@example.org"]
    assert found["Bcc"] is None
    assert "<!channel>" in found["Subject"]
    body = found.get_body(("html",))
    assert body is not None
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in body.get_content()
    assert "<script>" not in body.get_content()


def test_one_service_that_fails_keeps_no_other_from_being_told(
    webhook: HTTPServer, unused_tcp_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    webhook.expect_request(f"/services/{TOKEN}").respond_with_data("no", status=404)
    nowhere = f"mailto://me:very-secret@127.0.0.1:{unused_tcp_port}?from=me@example.org&to=team@example.org"
    with mail_sink() as sink, caplog.at_level(logging.DEBUG):
        there = f"mailto://127.0.0.1:{sink.port}?from=prefect@example.org&to=team@example.org"
        deliveries = send(MESSAGE, f"slack://{TOKEN}, {nowhere}, {there}, nothing://very-secret")
    assert [delivery.sent for delivery in deliveries] == [False, False, True]
    assert len(sink.mails) == 1
    assert "NOTIFY_APPRISE_URLS holds an address that Apprise does not understand" in caplog.text
    assert "Slack was not told" in caplog.text
    said = " ".join(record.getMessage() for record in caplog.records if record.name != "werkzeug")  # it is the sink
    assert "very-secret" not in said
    assert TOKEN.rpartition("/")[2] not in said
