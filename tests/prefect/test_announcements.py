"""Discord hears of runs that Airflow did not start, once each."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from prefect import tags
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from bridge.contracts import AIRFLOW_TAG
from bridge.notifications.message import Level
from flows.monitor_and_retrain import monitor_and_retrain
from flows.pipeline_flow import training_pipeline
from flows.promotion import promotion
from tests.mail_sink import mail_sink

if TYPE_CHECKING:
    from tests.prefect.conftest import Home

Heard = list[dict[str, Any]]


@pytest.fixture
def heard(home: Home, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> Heard:
    """What a local sink in Discord's place was told."""
    embeds: Heard = []

    def answer(request: Request) -> Response:
        embeds.extend((request.get_json() or {})["embeds"])
        return Response(status=204)

    httpserver.expect_request("/webhook").respond_with_handler(answer)
    monkeypatch.setenv("DISCORD_WEBHOOK_URL", httpserver.url_for("/webhook"))
    return embeds


@pytest.mark.usefixtures("known_costs")
def test_a_run_by_hand_is_told_once_and_its_parts_are_not(heard: Heard) -> None:
    result = training_pipeline(week=1, max_features=800, auto_promote_threshold=0.1)

    (embed,) = heard
    assert "training-pipeline/products" in embed["title"]
    assert f"{result['metrics']['f1_weighted']:.4f}" in str(embed["fields"])
    assert result["mlflow_url"] in embed["description"]
    assert f"[Model card]({result['card_url']})" in embed["description"]


def test_a_run_that_airflow_started_is_left_to_airflow(heard: Heard) -> None:
    with tags(AIRFLOW_TAG):
        result = monitor_and_retrain()

    assert heard == []
    assert result["notification"] == "Airflow tells of this run"


@pytest.mark.parametrize("flow", [promotion, training_pipeline], ids=lambda flow: flow.name)
def test_a_failure_is_told_with_its_reason(heard: Heard, flow: Callable[..., Any]) -> None:
    with pytest.raises(KeyError, match="no use case 'unknown'"):
        flow(use_case="unknown")

    (embed,) = heard
    assert "no use case 'unknown'" in embed["description"]


@pytest.mark.usefixtures("known_costs")
def test_a_challenger_that_loses_is_news_and_no_warning(heard: Heard) -> None:
    result = training_pipeline(week=1, max_features=800, auto_promote_threshold=1.0)

    (embed,) = heard
    assert embed["color"] == Level.SUCCESS.value
    assert f"Not promoted: {result['reason']}" in embed["description"]


def test_apprises_services_hear_it_too(heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    with mail_sink() as sink:
        address = f"mailto://127.0.0.1:{sink.port}?from=prefect@example.org&to=team@example.org"
        monkeypatch.setenv("NOTIFY_APPRISE_URLS", address)
        with pytest.raises(KeyError):
            promotion(use_case="unknown")
    [found] = sink.mails
    assert "promotion/unknown" in found["Subject"]
    assert len(heard) == 1


def test_without_discord_apprise_alone_is_told(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    with mail_sink() as sink:
        address = f"mailto://127.0.0.1:{sink.port}?from=prefect@example.org&to=team@example.org"
        monkeypatch.setenv("NOTIFY_APPRISE_URLS", address)
        result = monitor_and_retrain()
    assert result["notification"] == "told when the run ends: Apprise"
    assert len(sink.mails) == 1
