"""What somebody who means harm sends to the control page, or lets a flow, a task or a deployment say."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from bridge.testing import Course, FakePrefect
from tests.airflow.control_page import HOSTILE, KEY, OURS, PAGE, audit_entries, deployment_id, make_task_instance

pytest_plugins = ["tests.airflow.control_page"]

Browser = Callable[..., Any]
MB = 1_000_000


def test_what_a_schema_says_is_shown_as_text(as_user: Browser, fake: FakePrefect) -> None:
    field = {"title": HOSTILE, "description": HOSTILE, "default": HOSTILE, "enum": [HOSTILE, "tame"]}
    fake.deployment("work/sly", parameters={"properties": {HOSTILE: field, "tame": {"type": "integer"}}})
    known = deployment_id(fake, "work/sly")
    fake._state.deployments[known] |= {"description": HOSTILE, "work_queue_name": HOSTILE}
    admin = as_user("admin")
    refused = admin.post(f"{PAGE}/run/{known}", headers=OURS, data={"p.tame": HOSTILE, f"p.{HOSTILE}": HOSTILE})
    assert refused.status_code == 422
    for page in (admin.get(f"{PAGE}/run/{known}"), refused, admin.get(f"{PAGE}/run"), admin.get(f"{PAGE}/deployments")):
        assert HOSTILE not in page.text
        assert "&lt;script&gt;" in page.text


@pytest.mark.parametrize(
    "sent",
    [
        "[" * 100_000,
        "[" * 300 + "]" * 300,
        '{"a": "\\ud800"}',
        "NaN",
        '{"a": Infinity}',
        '{"a": 1e999}',
        "9" * 10_000,
    ],
    ids=["open", "deep", "half a character", "no number", "infinite", "overflowing", "long"],
)
def test_json_that_cannot_be_sent_is_refused_before_anything_starts(
    as_user: Browser, fake: FakePrefect, sent: str
) -> None:
    fake.deployment("work/json", parameters={"properties": {"any": {}}})
    path = f"{PAGE}/run/{deployment_id(fake, 'work/json')}"
    before = audit_entries()
    refused = as_user("admin").post(path, headers=OURS, data={"p.any": sent})
    assert refused.status_code == 422
    assert fake.runs() == []
    assert audit_entries() == before


def test_a_body_larger_than_any_form_is_not_read(as_user: Browser, fake: FakePrefect) -> None:
    path, admin = f"{PAGE}/run/{deployment_id(fake, 'work/alpha')}", as_user("admin")
    assert admin.post(path, headers=OURS, data={"p.text": "x" * 2 * MB}).status_code == 413
    assert admin.post(path, headers=OURS, content=iter([b"p.text=x"])).status_code == 411
    assert fake.runs() == []


def test_much_text_from_a_run_makes_no_large_page(as_user: Browser, fake: FakePrefect) -> None:
    lines = ["y" * MB, *("z" * 20_000 for _ in range(150))]
    fake.on_run("work/alpha", Course(state="FAILED", message="m" * MB, logs=lines, result={"said": "r" * MB}))
    run = fake.run("work/alpha", {"text": "p" * MB})
    fake.wait_for(lambda: fake.read(run).state_type == "FAILED")
    admin = as_user("admin")
    page = admin.get(f"{PAGE}/runs/{run.id}").text
    assert len(page) < MB
    assert page.count("characters more in Prefect") >= 4
    assert "what came before them is in Prefect" in page
    assert len(admin.get(f"{PAGE}/runs").text) < MB / 10


@pytest.mark.parametrize("pushed", ["../admin/version", HOSTILE, {"id": 1}, 7, "x" * 5_000])
def test_what_a_task_pushes_in_an_ids_place_is_no_address(as_user: Browser, fake: FakePrefect, pushed: object) -> None:
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    run_id = f"pushed-{len(str(pushed))}"
    make_task_instance("alpha", run_id)
    told = {"dag_id": "alpha", "task_id": "run", "run_id": run_id}
    with create_session() as session:
        XComModel.set(key="prefect_flow_run_id", value=pushed, session=session, **told)
    page = as_user("admin").get(f"{PAGE}/task", params={**told, "map_index": "-1"})
    assert page.status_code == 200
    assert "has not started a flow run yet" in page.text


@pytest.mark.parametrize("index", ["9" * 5_000, "99999999999999999999", "-9", "x", "\u0663"])
def test_a_map_index_that_is_none_finds_nothing(as_user: Browser, index: str) -> None:
    asked = {"dag_id": "alpha", "run_id": "none", "task_id": "run", "map_index": index}
    page = as_user("admin").get(f"{PAGE}/task", params=asked)
    assert (page.status_code, "no such task instance" in page.text) == (200, True)


def test_a_tab_of_another_dag_is_refused_whatever_it_leads_to(as_user: Browser) -> None:
    for dag_id in ("alpha", "", "none", "../alpha", HOSTILE):
        asked = {"dag_id": dag_id, "run_id": "r", "task_id": "run", "map_index": "-1"}
        page = as_user("reads-beta").get(f"{PAGE}/task", params=asked)
        assert (page.status_code, HOSTILE in page.text) == (403, False), dag_id


def test_a_tag_that_airflow_did_not_give_opens_nothing(as_user: Browser, fake: FakePrefect) -> None:
    theirs = fake.run("work/beta", tags=["dag:alpha", "run:r", "task:run"])
    reader = as_user("reads-alpha")
    assert reader.get(f"{PAGE}/runs/{theirs.id}").status_code == 403
    assert reader.get(f"{PAGE}/runs").text.count("row-") == 0


@pytest.mark.parametrize(
    "asked", ["runs/1%20OR%201=1", "runs/not-an-id", f"run/{HOSTILE}", "task", "task?dag_id=alpha"]
)
def test_an_address_that_is_none_is_a_page_that_repeats_nothing(as_user: Browser, asked: str) -> None:
    page = as_user("admin").get(f"{PAGE}/{asked}")
    assert page.status_code == 404
    assert "There is no such page" in page.text
    assert page.headers["cache-control"] == "no-store"
    assert "not-an-id" not in page.text


@pytest.mark.parametrize(
    "name",
    ["..%2fapp.py", "%2e%2e%2fpages.py", "..%5capp.py", "....//app.py", "%2fetc%2fpasswd", "control_page.css%00.html"],
)
def test_no_file_but_the_two_is_an_asset(as_user: Browser, name: str) -> None:
    answer = as_user("admin").get(f"{PAGE}/assets/{name}")
    assert answer.status_code == 404
    assert "import annotations" not in answer.text


def test_no_get_changes_anything(as_user: Browser, fake: FakePrefect) -> None:
    fake.on_run("work/alpha", state="RUNNING")
    run, admin = fake.run("work/alpha"), as_user("admin")
    known = fake.document(run)["deployment_id"]
    for path in (
        f"runs/{run.id}/cancel",
        f"runs/{run.id}/retry",
        f"deployments/{known}/pause",
        "promotion/products/promote",
    ):
        assert admin.get(f"{PAGE}/{path}").status_code == 405, path
    assert fake.read(run).state_type == "RUNNING"


def test_private_pages_are_kept_by_nobody_and_bear_no_login(as_user: Browser, fake: FakePrefect) -> None:
    run, admin = fake.run("work/alpha"), as_user("admin")
    known = deployment_id(fake, "work/alpha")
    for path in ("", "run", f"run/{known}", "runs", f"runs/{run.id}", "deployments", "promotion/products", "runs/none"):
        page = admin.get(f"{PAGE}/{path}")
        assert page.headers["cache-control"] == "no-store", path
        assert page.headers["x-content-type-options"] == "nosniff", path
        assert "frame-ancestors 'self'" in page.headers["content-security-policy"], path
        assert admin.cookies["_token"] not in page.text, path
    for name in ("control_page.css", "control_page.js"):
        assert admin.get(f"{PAGE}/assets/{name}").headers["cache-control"].startswith("private")


def test_a_password_in_the_connection_is_not_told_when_prefect_is_gone(
    as_user: Browser, fake: FakePrefect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_PREFECT_DEFAULT", f"prefect://somebody:{KEY}@127.0.0.1:9")
    admin = as_user("admin")
    for path in ("runs", "deployments", "runs/00000000-0000-4000-8000-000000000000"):
        page = admin.get(f"{PAGE}/{path}")
        assert "Prefect does not answer" in page.text, path
        assert KEY not in page.text + str(page.headers), path


def test_a_password_of_the_catalogue_is_not_told_when_it_is_gone(
    as_user: Browser, fake: FakePrefect, monkeypatch: pytest.MonkeyPatch
) -> None:
    from plugins.control_page import factory_reader

    monkeypatch.setenv("DATABASE_URL", f"postgresql+psycopg2://somebody:{KEY}@127.0.0.1:9/none")
    factory_reader._engine.cache_clear()
    factory_reader._facts.cache_clear()
    page = as_user("admin").get(f"{PAGE}/promotion/products").text
    factory_reader._facts.cache_clear()
    assert "catalogue does not answer" in page
    assert KEY not in page


def test_a_fault_of_the_page_itself_tells_nothing_of_its_inside(
    as_user: Browser, fake: FakePrefect, monkeypatch: pytest.MonkeyPatch
) -> None:
    from plugins.control_page.routes import deployments

    def broken(*_: Any) -> None:
        raise RuntimeError(f"at {KEY}")

    monkeypatch.setattr(deployments, "_views", broken)
    admin = as_user("admin")
    admin._transport.raise_server_exceptions = False  # a server logs it and sends the answer all the same
    page = admin.get(f"{PAGE}/deployments")
    assert (page.status_code, "This page is broken" in page.text) == (500, True)
    assert KEY not in page.text
    assert "Traceback" not in page.text


def test_an_opening_is_one_intention_for_a_quick_start_too(as_user: Browser, fake: FakePrefect) -> None:
    admin, path = as_user("admin"), f"{PAGE}/deployments"
    first, second = (re.findall(r'<body data-token="([0-9a-f-]{36})"', admin.get(path).text)[0] for _ in range(2))
    assert first != second
    dialog = re.findall(r'<dialog id="quick-.*?</dialog>', admin.get(path).text, re.DOTALL)[0]
    assert '<input type="hidden" name="token" value="">' in dialog
    start = f"{PAGE}/run/{deployment_id(fake, 'work/alpha')}"
    for token in (f"{first}-1", f"{first}-1", f"{first}-2"):
        assert admin.post(start, headers=OURS, data={"token": token}).status_code == 303
    assert len(fake.runs("work/alpha")) == 2


def test_anothers_token_starts_a_run_of_ones_own(as_user: Browser, fake: FakePrefect) -> None:
    start = f"{PAGE}/run/{deployment_id(fake, 'work/alpha')}"
    for name in ("admin", "starts-alpha"):
        as_user(name).post(start, headers=OURS, data={"token": "the same"})
    assert {run.labels["control_page.user"] for run in fake.runs("work/alpha")} == {"admin", "starts-alpha"}


@pytest.mark.parametrize("version", ["abc", "1; drop", "../1", HOSTILE, "9" * 200 + "x", "\u0663"])
def test_a_version_that_is_none_starts_no_promotion(as_user: Browser, fake: FakePrefect, version: str) -> None:
    from factory import contracts

    fake.deployment(contracts.promotion("products"))
    refused = as_user("admin").post(f"{PAGE}/promotion/products/promote", headers=OURS, data={"version": version})
    assert (refused.status_code, "is no version" in refused.text) == (422, True)
    assert HOSTILE not in refused.text
    assert fake.runs() == []
