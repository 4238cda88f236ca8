"""The control page in Airflow's real application: who is let in, who may do what, and what never leaves the server."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from bridge.testing import FakePrefect
from tests.airflow.control_page import HOSTILE, KEY, OURS, PAGE, audit_entries, parameters

pytest_plugins = ["tests.airflow.control_page"]

Browser = Callable[..., Any]
ID = "00000000-0000-4000-8000-000000000000"


def routes() -> list[tuple[str, str]]:
    """Every method and path of the page, with something in the place of its parts."""
    from plugins.control_page.app import application

    found = []
    for route in application().routes:
        path = re.sub(r"{\w+}", ID, route.path)  # type: ignore[attr-defined]
        found += [(method, f"{PAGE}{path}") for method in sorted(route.methods)]  # type: ignore[attr-defined]
    return found


def task_tags(dag_id: str) -> list[str]:
    return ["airflow", f"dag:{dag_id}", "run:r", "task:run"]


def test_every_route_wants_a_login(as_user: Browser) -> None:
    anonymous = as_user()
    asked = routes()
    assert len(asked) > 5
    for method, path in asked:
        answer = anonymous.request(method, path, headers=OURS)
        assert answer.status_code == 401, f"{method} {path}"
        assert "Log in" in answer.text


def test_a_login_that_is_none_is_refused(as_user: Browser) -> None:
    stranger = as_user()
    stranger.cookies.set("_token", "not-a-token")
    assert stranger.get(f"{PAGE}/runs").status_code in {401, 403}


def test_who_may_only_read_sees_the_run_and_changes_nothing(as_user: Browser, fake: FakePrefect) -> None:
    fake.on_run("work/alpha", state="RUNNING")
    run = fake.run("work/alpha")
    viewer, before = as_user("viewer"), audit_entries()
    page = viewer.get(f"{PAGE}/runs/{run.id}")
    assert (page.status_code, run.name in page.text, "Cancel the run" in page.text) == (200, True, False)
    deployment = fake.document(run)["deployment_id"]
    for path in (f"runs/{run.id}/cancel", f"runs/{run.id}/retry", f"deployments/{deployment}/pause"):
        refused = viewer.post(f"{PAGE}/{path}", headers=OURS)
        assert (refused.status_code, "permission" in refused.text) == (403, True), path
    assert fake.read(run).state_type == "RUNNING"
    assert audit_entries() == before


def test_who_may_read_one_dag_sees_what_belongs_to_it_alone(as_user: Browser, fake: FakePrefect) -> None:
    mine, theirs, nobodys = (fake.run(f"work/{name}") for name in ("alpha", "beta", "nobodys"))
    # another DAG has started my deployment
    lent = fake.run("work/alpha", tags=task_tags("beta"), labels={"airflow.dag_id": "beta"})
    reader = as_user("reads-alpha")
    listed = reader.get(f"{PAGE}/runs").text
    assert [run.id in listed for run in (mine, theirs, nobodys, lent)] == [True, False, False, False]
    statuses = [reader.get(f"{PAGE}/runs/{run.id}").status_code for run in (mine, theirs, nobodys, lent)]
    assert statuses == [200, 403, 403, 403]
    shown = reader.get(f"{PAGE}/deployments").text
    assert ["work/alpha" in shown, "work/beta" in shown, "work/nobodys" in shown] == [True, False, False]
    assert reader.get(f"{PAGE}/runs?deployment=work/beta").text.count("row-") == 0
    everything = as_user("admin").get(f"{PAGE}/runs").text
    assert all(run.id in everything for run in (mine, theirs, nobodys, lent))


def test_who_may_start_a_dag_may_cancel_its_runs_and_no_others_and_pause_nothing(
    as_user: Browser, fake: FakePrefect
) -> None:
    for name in ("alpha", "beta"):
        fake.on_run(f"work/{name}", state="RUNNING")
    mine, theirs = fake.run("work/alpha"), fake.run("work/beta")
    starter = as_user("starts-alpha")
    assert starter.post(f"{PAGE}/runs/{mine.id}/cancel", headers=OURS).status_code == 303
    assert starter.post(f"{PAGE}/runs/{theirs.id}/cancel", headers=OURS).status_code == 403
    assert fake.read(mine).state_type == "CANCELLED"
    assert fake.read(theirs).state_type == "RUNNING"
    deployment = fake.document(mine)["deployment_id"]
    assert starter.post(f"{PAGE}/deployments/{deployment}/pause", headers=OURS).status_code == 403


def test_a_dags_tag_is_believed_where_the_bridges_label_says_the_same(as_user: Browser, fake: FakePrefect) -> None:
    told, forged, other = (
        fake.run("work/beta", tags=task_tags("alpha"), labels=labels)
        for labels in ({"airflow.dag_id": "alpha"}, {}, {"airflow.dag_id": "beta"})
    )
    mine, reader = fake.run("work/alpha", tags=task_tags("alpha")), as_user("reads-alpha")
    statuses = [reader.get(f"{PAGE}/runs/{run.id}").status_code for run in (told, forged, other, mine)]
    assert statuses == [200, 403, 403, 200]
    assert as_user("reads-beta").get(f"{PAGE}/runs/{told.id}").status_code == 403
    starter = as_user("starts-alpha")
    assert starter.post(f"{PAGE}/runs/{forged.id}/cancel", headers=OURS).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site", "origin": "http://airflow.test"},
        {"origin": "http://elsewhere.test"},
        {"origin": "null"},
        {},
    ],
)
def test_a_post_from_another_site_is_refused(as_user: Browser, fake: FakePrefect, headers: dict[str, str]) -> None:
    fake.on_run("work/alpha", state="RUNNING")
    run = fake.run("work/alpha")
    admin, before = as_user("admin"), audit_entries()
    assert admin.post(f"{PAGE}/runs/{run.id}/cancel", headers=headers).status_code == 403
    assert fake.read(run).state_type == "RUNNING"
    assert audit_entries() == before


def test_a_post_from_our_own_page_or_with_a_token_of_its_own_is_taken(as_user: Browser, fake: FakePrefect) -> None:
    fake.on_run("work/alpha", state="RUNNING")
    admin = as_user("admin")
    token = admin.cookies["_token"]
    for headers in (OURS, {"origin": "http://airflow.test"}, {"authorization": f"Bearer {token}"}):
        run = fake.run("work/alpha")
        assert admin.post(f"{PAGE}/runs/{run.id}/cancel", headers=headers).status_code == 303
        assert fake.read(run).state_type == "CANCELLED"


def test_whatever_a_flow_or_a_person_says_is_shown_as_text(as_user: Browser, fake: FakePrefect) -> None:
    fake.deployment(f"{HOSTILE}/{HOSTILE}", parameters=parameters)
    fake.on_run(f"{HOSTILE}/{HOSTILE}", state="RUNNING", logs=[HOSTILE], result={"said": HOSTILE, "x_url": HOSTILE})
    fake.run(f"{HOSTILE}/{HOSTILE}", {"text": HOSTILE}, tags=[*task_tags(HOSTILE), HOSTILE])
    run = fake.run(f"{HOSTILE}/{HOSTILE}", {"text": HOSTILE})
    fake.document(run)
    fake._state.run(run.id)["name"] = HOSTILE
    fake.set_state(run, "FAILED", name=HOSTILE, message=HOSTILE)
    fake.publish(run, {"page_url": "javascript:alert(1)", "said": HOSTILE})
    fake.task(run, HOSTILE)
    admin = as_user("admin")
    for path in (f"runs/{run.id}", "runs", "deployments", f"runs?deployment={HOSTILE}&state={HOSTILE}&page={HOSTILE}"):
        page = admin.get(f"{PAGE}/{path}")
        assert page.status_code == 200, path
        assert HOSTILE not in page.text, path
        assert "&lt;script&gt;" in page.text, path
        assert 'href="javascript' not in page.text, path
        assert "script-src 'self'" in page.headers["content-security-policy"]


def test_no_character_of_a_text_hides_what_it_says_and_a_form_sends_back_what_it_was_given(
    as_user: Browser, fake: FakePrefect
) -> None:
    sly = "run\u202egnp.exe\x1b[2J"
    run = fake.run("work/alpha", {"text": sly}, tags=["airflow", f"dag:{sly}", "run:r", "task:t"])
    fake.set_state(run, "FAILED", message=sly)
    fake.log(run, sly)
    fake._state.run(run.id)["name"] = sly
    admin = as_user("admin")
    for path in ("runs", f"runs/{run.id}"):
        page = admin.get(f"{PAGE}/{path}").text
        assert not any(sign in page for sign in ("\u202e", "\x1b")), path
        assert "run\\u202egnp.exe" in page
    again = admin.get(f"{PAGE}/run/{fake.document(run)['deployment_id']}?like={run.id}").text
    assert f'value="{sly}"' in again


def test_prefects_key_never_reaches_the_browser(as_user: Browser, fake: FakePrefect) -> None:
    run = fake.run("work/alpha")
    admin = as_user("admin")
    told = [admin.request(method, path.replace(ID, run.id), headers=OURS) for method, path in routes()]
    fake.faults.answer(401, times=None)
    told += [admin.get(f"{PAGE}/{path}") for path in ("runs?span=hour", f"runs/{ID}", "deployments")]
    fake.faults.clear()
    fake.faults.cut(times=None)
    told += [admin.get(f"{PAGE}/{path}") for path in ("runs?span=month", f"runs/{ID}")]
    fake.faults.clear()
    assert any(run.name in answer.text for answer in told)
    for answer in told:
        assert KEY not in answer.text + str(answer.headers)


def test_every_change_stands_in_the_audit_log_under_its_users_name(as_user: Browser, fake: FakePrefect) -> None:
    fake.on_run("work/alpha", state="RUNNING")
    run = fake.run("work/alpha")
    deployment, admin, before = fake.document(run)["deployment_id"], as_user("admin"), len(audit_entries())
    changes = [f"runs/{run.id}/cancel", f"runs/{run.id}/retry"]
    changes += [f"deployments/{deployment}/pause", f"deployments/{deployment}/resume"]
    for path in changes:
        assert admin.post(f"{PAGE}/{path}", headers=OURS).status_code == 303, path
    entries = audit_entries()[before:]
    assert [entry[0] for entry in entries] == [
        "control_page_cancel",
        "control_page_retry",
        "control_page_pause",
        "control_page_resume",
    ]
    assert {entry[1:3] for entry in entries} == {("admin", "alpha")}
    assert json.loads(entries[0][3])["flow_run_id"] == run.id
    assert all(json.loads(entry[3])["deployment"] == "work/alpha" for entry in entries)
