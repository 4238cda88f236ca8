"""The control page in Chromium over the whole real stack, as the people use it who run models."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Stack
from tests.browser.views import DAG, VIEWS, go_to

Open = Callable[..., Page]
FLOW_MS = 120_000
"""A flow's process starts, trains and ends on a busy machine."""
ENDS = re.compile("Completed|Skipped")


def begin(page: Page, deployment: str, **fields: str) -> None:
    """Start a run from its form; leads to its page."""
    page.goto(page.url.partition("/control-page")[0] + "/control-page/run")
    page.get_by_role("link", name=deployment, exact=True).click()
    for name, value in fields.items():
        page.locator(f"#field-{name}").fill(value)
    page.get_by_role("button", name="Start").click()
    page.wait_for_url(re.compile(r"/control-page/runs/[0-9a-f-]{36}"))


def state(page: Page) -> Any:
    return page.locator("#run-state .badge")


def test_who_logs_in_finds_the_page_in_airflows_navigation(stack: Stack, chromium: Browser) -> None:
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(stack.url)
    page.locator("input[name=username]").fill("admin")
    page.locator("input[name=password]").fill(stack.password)
    page.locator("button[type=submit]").click()
    page.get_by_role("button", name="Browse").click()
    page.get_by_role("menuitem", name="Control page").click()
    frame = page.frame_locator("iframe")
    expect(frame.get_by_role("heading", name="Overview")).to_be_visible(timeout=30_000)
    expect(frame.locator("#cases")).to_contain_text(re.compile(r"v\d+, weighted F1 0\.\d+"))
    context.close()


def test_a_run_is_started_from_the_form_and_watched_until_it_ends_without_reloading(open_page: Open) -> None:
    page = open_page("run")
    begin(page, "score/products", week_number="2")
    page.evaluate("window.stillHere = true")
    expect(state(page)).to_have_text(ENDS, timeout=FLOW_MS)
    expect(page.locator("#log .line").first).to_be_visible(timeout=30_000)
    expect(page.locator("#result")).to_contain_text("products", timeout=60_000)
    assert page.evaluate("window.stillHere") is True
    expect(page.locator("#run-facts")).to_contain_text("admin")


def test_wrong_input_is_told_at_the_field_and_nothing_starts(open_page: Open) -> None:
    page = open_page("run")
    page.get_by_role("link", name="score/products", exact=True).click()
    page.locator("#field-week_number").fill("soon")
    page.get_by_role("button", name="Start").click()
    expect(page.locator("#field-week_number-wrong")).to_have_text("'soon' is not of type 'integer'")
    assert page.locator("#field-week_number").get_attribute("aria-invalid") == "true"
    page.locator("#field-week_number").fill("0")
    page.get_by_role("button", name="Start").click()
    expect(page.locator("#field-week_number-wrong")).to_have_text("0 is less than the minimum of 1")
    assert "/run/" in page.url


def test_a_run_is_cancelled_after_a_confirmation(open_page: Open) -> None:
    page = open_page("run")
    begin(page, "training-pipeline/products", week_number="1")
    # Prefect leaves a run that is cancelled while its process starts in Cancelling for five minutes.
    expect(state(page)).to_have_text("Running", timeout=FLOW_MS)
    page.get_by_role("button", name="Cancel the run").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    dialog.get_by_role("button", name="Leave it").click()
    expect(dialog).not_to_be_visible()
    page.get_by_role("button", name="Cancel the run").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel the run").click()
    expect(state(page)).to_have_text("Cancelled", timeout=FLOW_MS)
    expect(page.get_by_role("button", name="Retry in place")).to_be_visible()


def test_a_failed_run_says_why_in_its_message_and_its_log(open_page: Open) -> None:
    page = open_page("run")
    begin(page, "training-pipeline/products", week_number="99")  # which was not cut
    expect(state(page)).to_have_text("Failed", timeout=FLOW_MS)
    expect(page.locator("#run-message")).to_contain_text("Prefect says:")
    expect(page.locator("#log .line.error").first).to_be_visible(timeout=60_000)


def test_a_model_is_promoted_and_rolled_back_by_its_flow(stack: Stack, open_page: Open) -> None:
    # All of the sample: a better model than those of the first two weeks, which nobody has judged yet.
    stack.cut(30)
    page = open_page("run")
    begin(page, "training-pipeline/products", week_number="30", auto_promote_threshold="")
    expect(state(page)).to_have_text(ENDS, timeout=2 * FLOW_MS)
    page.get_by_role("link", name="Promote").click()
    page.get_by_role("button", name="Promote …").click()
    page.get_by_role("dialog").get_by_role("button", name="Promote …").click()
    page.wait_for_url(re.compile(r"/runs/"))
    expect(state(page)).to_have_text(ENDS, timeout=FLOW_MS)
    page.get_by_role("link", name="Promote").click()
    expect(page.locator("#decisions > ol > li").first).to_contain_text("promoted", timeout=30_000)
    before = page.locator("#decisions > ol > li").count()
    page.get_by_role("button", name="Roll back …").click()
    page.get_by_role("dialog").get_by_role("button", name="Roll back …").click()
    page.wait_for_url(re.compile(r"/runs/"))
    expect(state(page)).to_have_text(ENDS, timeout=FLOW_MS)
    page.get_by_role("link", name="Promote").click()
    expect(page.locator("#decisions > ol > li")).to_have_count(before + 1, timeout=30_000)
    expect(page.locator("#decisions > ol > li").first).to_contain_text("rolled back")


def test_who_may_only_read_has_no_button_and_is_refused(stack: Stack, open_page: Open) -> None:
    page = open_page("runs", stack.viewer_token)
    expect(page.locator("tbody tr").first).to_be_visible(timeout=30_000)
    for path in ("deployments", "promotion/products"):
        page.goto(f"{stack.page}/{path}")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        assert page.locator("main button").count() == 0
    status = page.evaluate(
        "url => fetch(url, {method: 'POST'}).then(answer => answer.status)",
        f"{stack.page}/promotion/products/rollback",
    )
    assert status == 403


def test_a_bridge_task_has_its_flow_run_on_a_tab_in_airflow(stack: Stack, open_page: Open) -> None:
    page = open_page()
    newest = stack.airflow(f"/dags/{DAG}/dagRuns?order_by=-run_after&limit=1")["dag_runs"][0]["dag_run_id"]
    page.goto(f"{stack.url}/dags/{DAG}/runs/{newest}/tasks/train/plugin/prefect-run")
    frame = page.frame_locator("iframe")
    expect(frame.locator("#run-state")).to_contain_text("Completed", timeout=60_000)
    expect(frame.locator("#timeline li").nth(1)).to_be_visible()
    expect(frame.locator("#log .line").first).to_be_visible()


def test_times_are_in_the_viewers_zone(open_page: Open) -> None:
    shown = {}
    for zone in ("UTC", "Asia/Tokyo"):
        page = open_page("runs?deployment=training-pipeline/products", timezone_id=zone, locale="en-GB")
        page.locator("tbody th a").last.click()
        moment = page.locator("#run-facts time").first
        expect(moment).to_be_visible(timeout=30_000)
        shown[zone] = (moment.get_attribute("datetime"), moment.inner_text())
    assert shown["UTC"][0] == shown["Asia/Tokyo"][0]
    assert shown["UTC"][1] != shown["Asia/Tokyo"][1]


def test_a_dialog_is_left_by_the_keyboard_and_gives_the_focus_back(open_page: Open) -> None:
    page = open_page("promotion/products")
    button = page.get_by_role("button", name="Promote …").first
    button.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).not_to_be_visible()
    expect(button).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_nothing_to_complain_of(open_page: Open, stack: Stack, view: str, scheme: str) -> None:
    page = open_page(color_scheme=scheme)
    go_to(page, view, stack)
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("view", VIEWS)
def test_a_phone_shows_a_view_without_scrolling_sideways(open_page: Open, stack: Stack, view: str) -> None:
    page = open_page(viewport={"width": 390, "height": 800})
    go_to(page, view, stack)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_picture_of_every_view(request: pytest.FixtureRequest, open_page: Open, stack: Stack, scheme: str) -> None:
    folder = Path(str(request.config.getoption("--pictures")))
    folder.mkdir(parents=True, exist_ok=True)
    page = open_page(color_scheme=scheme)
    for view in VIEWS:
        go_to(page, view, stack)
        page.screenshot(path=folder / f"{view}-{scheme}.png")
    page.goto(f"{stack.url}/plugin/control-page")
    frame = page.frame_locator("iframe")
    expect(frame.get_by_role("heading", name="Overview")).to_be_visible(timeout=30_000)
    expect(frame.locator(".loading")).to_have_count(0, timeout=30_000)
    page.screenshot(path=folder / f"in-airflow-{scheme}.png")
    page.set_viewport_size({"width": 390, "height": 800})
    go_to(page, "overview", stack)
    page.screenshot(path=folder / f"phone-{scheme}.png")
