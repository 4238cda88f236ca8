"""The control page where all is not well: troubles, nothing yet, loading, no Prefect, no rights, and harmful texts.

Also what does not need the whole stack: the keyboard, what is announced, and a press that was one too many.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import Stage, log_in

Open = Callable[..., Page]
Stages = dict[str, Stage]

STATES = (
    "attention",
    "failed",
    "no-worker",
    "cancelling",
    "unfolded",
    "choosing",
    "lanes",
    "lanes-table",
    "log",
    "compare",
    "refused",
    "loading",
    "down",
    "down-runs",
    "empty",
    "empty-runs",
    "empty-deployments",
    "empty-promotion",
    "forbidden",
    "logged-out",
)
HOSTILE = ("runs", "run", "deployments", "form")


def show(open_window: Open, stages: Stages, state: str, **options: object) -> Page:
    """The page in that state, at rest."""
    scene = {"loading": "hanging", "down": "down", "empty": "empty"}.get(state.partition("-")[0], "troubled")
    stage = stages[scene]
    token = {"forbidden": stage.tokens["visitor"], "logged-out": ""}.get(state, stage.tokens["admin"])
    paths = {"failed": f"runs/{stage.runs['troubled']['failed']}"} if scene == "troubled" else {}
    paths |= {
        "no-worker": "deployments",
        "cancelling": "runs",
        "unfolded": "run",
        "refused": "run",
        "forbidden": "runs",
    }
    paths |= {"choosing": "runs", "lanes": "timeline?span=hour", "lanes-table": "timeline?span=hour"}
    paths |= {"log": f"{paths.get('failed')}?level=warning", "compare": "promotion/products/compare"}
    page = open_window("about:blank", **options)
    if token:
        log_in(page.context, stage.url, token)
    if state == "loading":  # the first look paints at once; those that follow are never answered here
        page.route("**/*", lambda route: None if route.request.headers.get("x-live") else route.continue_())
    page.goto(f"{stage.url}/{paths.get(state, state.partition('-')[2] if scene != 'troubled' else '')}")
    doing = {"cancelling": _ask_to_cancel, "refused": _send_what_does_not_fit, "forbidden": _try_to_start}
    doing |= {"unfolded": _unfold, "choosing": _choose_several, "lanes-table": _open_table}
    doing.get(state, _wait)(page)
    if state == "attention":
        expect(page.locator("#attention li")).to_have_count(8)
    if state != "loading":
        expect(page.locator(".loading")).to_have_count(0)
    if scene == "down":
        expect(page.locator("#trouble")).to_contain_text("Prefect does not answer")
    return page


def _wait(page: Page) -> None:
    expect(page.get_by_role("heading", level=1)).to_be_visible()


def _ask_to_cancel(page: Page) -> None:
    page.locator("tbody tr", has=page.locator(".badge.busy")).locator("th a").first.click()
    page.get_by_role("button", name="Cancel the run").click()
    expect(page.get_by_role("dialog")).to_be_visible()


def _choose_several(page: Page) -> None:
    page.get_by_label("every run of this page that has not ended").check()
    page.get_by_role("button", name="Cancel the chosen runs").click()
    expect(page.get_by_role("dialog").locator("li").first).to_be_visible()


def _open_table(page: Page) -> None:
    page.get_by_text("The same as a table").click()
    expect(page.locator("#lanes-table tbody tr").first).to_be_visible()


def _send_what_does_not_fit(page: Page) -> None:
    page.get_by_role("link", name="training-pipeline/products", exact=True).click()
    page.locator("#field-week_number").fill("soon")
    page.get_by_role("button", name="Start").click()
    expect(page.locator("#field-week_number-wrong")).to_be_visible()
    expect(page.locator("#field-week_number")).to_be_focused()


def _unfold(page: Page) -> None:
    page.get_by_role("link", name="training-pipeline/products", exact=True).click()
    page.get_by_text("rarely used").click()
    expect(page.locator("#field-dataset")).to_be_visible()


def _try_to_start(page: Page) -> None:
    page.goto(page.url.replace("/runs", "/promotion/products"))
    page.evaluate(
        """() => { const form = document.createElement("form"); form.method = "post";
        form.action = location.pathname + "/rollback"; document.body.append(form); form.submit(); }"""
    )
    expect(page.get_by_role("heading", name="This is not yours to do")).to_be_visible()


def show_hostile(open_window: Open, stages: Stages, view: str, **options: object) -> Page:
    """A view of what somebody has made up to do harm."""
    stage = stages["hostile"]
    path = {"run": f"runs/{stage.runs['hostile']['failed']}", "form": "run"}.get(view, view)
    page = open_window(f"{stage.url}/{path}", stage.tokens["admin"], **options)
    if view == "form":
        page.locator(".tile a").click()
    expect(page.locator(".loading")).to_have_count(0)
    return page


def test_what_needs_attention_is_on_top_and_leads_there(open_window: Open, stages: Stages) -> None:
    page = show(open_window, stages, "attention")
    said = page.locator("#attention li")
    for words in (
        "No worker is online on pool gpus",
        "promotion/products is late",
        "score/products is stuck in Submitting. A worker has taken it",
        "failed in the last 24 hours",
        "crashed in the last 24 hours",
        "The last run of weekly_ml_pipeline failed in Airflow",
        "Week 3 of products was rejected: class_balance",
        "products drifts: critical, score 0.66",
    ):
        expect(said.filter(has_text=words)).to_have_count(1)
    assert page.locator("#attention").bounding_box()["y"] < page.locator("#cases").bounding_box()["y"]  # type: ignore[index]
    said.filter(has_text="failed in the last").locator("a").click()
    expect(page.locator("#log .line.error")).to_contain_text("No space left on device")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("state", STATES)
def test_axe_finds_nothing_to_complain_of_in_a_state(
    open_window: Open, stages: Stages, state: str, scheme: str
) -> None:
    found = Axe().run(show(open_window, stages, state, color_scheme=scheme))
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("width", [320, 640], ids=["a phone, or 400 % of a screen", "200 % of a screen"])
@pytest.mark.parametrize("state", STATES)
def test_a_state_is_shown_without_scrolling_sideways(open_window: Open, stages: Stages, state: str, width: int) -> None:
    page = show(open_window, stages, state, viewport={"width": width, "height": 450})
    assert not sticking_out(page)


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("view", HOSTILE)
def test_harmful_and_long_texts_are_text_and_stay_within_the_page(
    open_window: Open, stages: Stages, view: str, width: int
) -> None:
    page = show_hostile(open_window, stages, view, viewport={"width": width, "height": 800})
    if view == "run":
        expect(page.get_by_role("heading", level=1)).to_contain_text("<script>document.title")
    assert not sticking_out(page)
    assert page.title() != "taken"
    assert page.locator("main script, main img, a[href^='javascript']").count() == 0
    assert Axe().run(page).violations_count == 0


def test_a_form_has_its_defaults_and_folds_away_what_is_rarely_used(open_window: Open, stages: Stages) -> None:
    page = open_window(f"{stages['troubled'].url}/run", stages["troubled"].tokens["admin"])
    page.get_by_role("link", name="training-pipeline/products", exact=True).click()
    expect(page.locator(".fixed")).to_contain_text("products")
    expect(page.locator("#field-use_case")).to_have_count(0)
    expect(page.locator("#field-auto_promote_threshold")).to_have_value("0.75")
    page.get_by_role("checkbox", name="svm-words", exact=True).check()
    expect(page.locator("#field-search_trials")).not_to_be_visible()
    page.locator("summary").press("Enter")
    page.locator("#field-search_trials").fill("many")
    page.get_by_role("button", name="Start").click()
    expect(page.locator("#field-search_trials")).to_be_focused()
    expect(page.get_by_role("checkbox", name="svm-words", exact=True)).to_be_checked()


def test_a_run_is_run_again_with_changed_parameters(open_window: Open, stages: Stages) -> None:
    stage = stages["troubled"]
    page = open_window(f"{stage.url}/runs/{stage.runs['troubled']['failed']}", stage.tokens["admin"])
    page.get_by_role("link", name="Run again …").click()
    expect(page.locator("#field-week_number")).to_have_value("3")
    page.locator("#field-week_number").fill("2")
    page.locator("#field-auto_promote_threshold").fill("")
    page.get_by_role("button", name="Start").click()
    page.wait_for_url(re.compile(r"/runs/[0-9a-f-]{36}"))
    expect(page.locator("#parameters-title + pre")).to_contain_text('"week_number": 2')
    expect(page.locator("#parameters-title + pre")).to_contain_text('"auto_promote_threshold": null')


def test_a_run_is_started_and_cancelled_by_the_keyboard_alone(open_window: Open, stages: Stages) -> None:
    stage = stages["troubled"]
    page = open_window(f"{stage.url}/run", stage.tokens["admin"])
    _press_until(page, "Tab", page.get_by_role("link", name="training-pipeline/products", exact=True))
    page.keyboard.press("Enter")
    _press_until(page, "Tab", page.locator("#field-week_number"))
    page.keyboard.type("4")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/runs/[0-9a-f-]{36}"))
    expect(page.locator("#run-state .badge")).to_have_text("Running")
    button = page.get_by_role("button", name="Cancel the run")
    _press_until(page, "Tab", button)
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name="Leave it")).to_be_focused()
    page.keyboard.press("Escape")
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(dialog.get_by_role("button", name="Cancel the run")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#run-state .badge")).to_have_text("Cancelled")
    expect(page.locator("#run-message")).to_contain_text("Cancelled by admin.")
    assert page.evaluate("document.activeElement.closest('body') !== null")


@pytest.mark.parametrize("name", ["fake-run-1", "weekly_ml_pipeline · score"])
def test_the_focus_stays_where_it_is_while_the_list_is_looked_at_again(
    open_window: Open, stages: Stages, name: str
) -> None:
    page = open_window(f"{stages['troubled'].url}/runs", stages["troubled"].tokens["admin"])
    link = page.get_by_role("link", name=name, exact=True)
    link.focus()
    before = page.locator("#run-list").inner_text()
    expect(page.locator("#run-list")).not_to_have_text(before, timeout=30_000)  # a run that runs has run for longer
    with page.expect_response(lambda answer: bool(answer.request.headers.get("x-live"))):
        pass
    expect(link).to_be_focused()


def test_runs_are_chosen_and_cancelled_together_by_the_keyboard_and_stay_chosen_while_the_list_lives(
    open_window: Open, stages: Stages
) -> None:
    stage = stages["troubled"]
    page = open_window(f"{stage.url}/run", stage.tokens["admin"])
    for _ in range(2):
        page.goto(f"{stage.url}/run")
        page.get_by_role("link", name="training-pipeline/products", exact=True).click()
        page.get_by_role("button", name="Start").click()
        page.wait_for_url(re.compile(r"/runs/[0-9a-f-]{36}"))
        expect(page.locator("#run-state .badge")).to_have_text("Running")
    page.goto(f"{stage.url}/runs?state=Running")
    button = page.get_by_role("button", name="Cancel the chosen runs")
    expect(button).to_be_disabled()
    boxes = page.locator("tbody input[type=checkbox]")
    for place in range(2):
        _press_until(page, "Tab", boxes.nth(place))
        page.keyboard.press("Space")
    expect(button).to_contain_text("(2)")
    before = page.locator("#run-list").inner_text()
    expect(page.locator("#run-list")).not_to_have_text(before, timeout=30_000)
    expect(button).to_contain_text("(2)")
    _press_until(page, "Shift+Tab", button)
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog").locator("li")).to_have_count(2)
    _press_until(page, "Tab", page.get_by_role("dialog").get_by_role("button", name="Cancel the runs"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("2 of 2 runs cancelled")
    page.get_by_role("link", name="Back to the runs").click()
    assert "state=Running" in page.url


def test_what_is_typed_to_search_for_is_sent_by_enter_and_a_log_is_downloaded(
    open_window: Open, stages: Stages
) -> None:
    stage = stages["troubled"]
    page = open_window(f"{stage.url}/runs", stage.tokens["admin"])
    page.get_by_label("Parameter").fill("week_number=4")
    page.keyboard.press("Tab")
    assert "parameter" not in page.url
    page.get_by_label("Parameter").press("Enter")
    page.wait_for_url(re.compile("parameter=week_number"))
    expect(page.locator("#run-list")).to_contain_text("that were looked through")
    page.goto(f"{stage.url}/runs/{stage.runs['troubled']['failed']}")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the whole log").click()
    assert "No space left on device" in Path(download.value.path()).read_text()


def test_the_picture_leads_to_a_run_by_the_keyboard_and_its_table_stays_open(open_window: Open, stages: Stages) -> None:
    page = show(open_window, stages, "lanes-table")
    with page.expect_response(lambda answer: bool(answer.request.headers.get("x-live"))):
        pass
    expect(page.locator("#lanes-table")).to_have_attribute("open", "")
    block = page.locator("svg.lane a").first
    _press_until(page, "Shift+Tab", block)
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/runs/[0-9a-f-]{36}"))


def test_a_change_of_state_is_announced_and_a_log_is_not_read_out(open_window: Open, stages: Stages) -> None:
    stage = stages["troubled"]
    page = open_window(f"{stage.url}/run", stage.tokens["admin"])
    page.get_by_role("link", name="training-pipeline/products", exact=True).click()
    page.get_by_role("button", name="Start").click()
    page.wait_for_url(re.compile(r"/runs/[0-9a-f-]{36}"))
    expect(page.locator("#run-state .badge")).to_have_text("Running")
    assert page.locator("#announcer").get_attribute("role") == "status"
    assert page.locator("#log").get_attribute("aria-live") == "off"
    status = page.evaluate("fetch(location.pathname + '/cancel', {method: 'POST'}).then(answer => answer.status)")
    assert status == 200
    expect(page.locator("#announcer")).to_contain_text(": Cancelled")


def test_two_presses_start_one_run_and_the_next_opening_another(open_window: Open, stages: Stages) -> None:
    stage = stages["troubled"]
    page = open_window(f"{stage.url}/deployments", stage.tokens["admin"])
    tile = page.locator(".tile").filter(has=page.get_by_role("heading", name="score/products"))
    started: list[str] = []
    for _ in range(2):
        tile.get_by_role("button", name="Run with defaults").click()
        form = page.get_by_role("dialog").locator("form")
        started += form.evaluate(
            """async (form) => {
            const send = () => fetch(form.action, {method: "POST", body: new URLSearchParams(new FormData(form))});
            return (await Promise.all([send(), send()])).map((answer) => answer.url);
            }"""
        )
        page.get_by_role("dialog").get_by_role("button", name="Leave it").click()
    assert started[0] == started[1] != started[2] == started[3]
    assert all(re.search(r"/runs/[0-9a-f-]{36}$", url) for url in started)


def show_loading_first(open_window: Open, stage: Stage, run: str) -> Page:
    """A run's page whose first look finds Prefect hanging; the later ones do not."""
    page = open_window("about:blank")
    log_in(page.context, stage.url, stage.tokens["admin"])

    def without_prefect_at_first(route: Route) -> None:
        if route.request.headers.get("x-live"):
            route.continue_()
            return
        answer = route.fetch(url=route.request.url.replace("/troubled/", "/hanging/"))
        route.fulfill(response=answer, body=answer.text().replace("/hanging/", "/troubled/"))

    page.route(f"{stage.url}/runs/{run}", without_prefect_at_first)
    page.goto(f"{stage.url}/runs/{run}")
    return page


def test_what_was_loading_at_first_comes_whole_with_a_later_look(open_window: Open, stages: Stages) -> None:
    page = show_loading_first(open_window, stages["troubled"], stages["troubled"].runs["troubled"]["failed"])
    expect(page.locator("#log .line.error")).to_contain_text("No space left on device", timeout=30_000)
    expect(page.locator("#timeline li")).to_have_count(4)
    expect(page.get_by_role("button", name="Retry in place")).to_be_visible()


def test_what_was_loading_and_is_not_there_is_said_so(open_window: Open, stages: Stages) -> None:
    page = show_loading_first(open_window, stages["troubled"], "00000000-0000-4000-8000-000000000000")
    expect(page.get_by_role("heading", level=1)).to_have_text("It is not there", timeout=30_000)
    expect(page.locator(".loading")).to_have_count(0)


def test_a_login_that_ends_while_the_page_is_open_is_told(open_window: Open, stages: Stages) -> None:
    page = show(open_window, stages, "failed")
    page.context.clear_cookies()
    expect(page.locator("#live-notice")).to_contain_text("Your login has expired", timeout=30_000)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_picture_of_every_state(
    request: pytest.FixtureRequest, open_window: Open, stages: Stages, scheme: str
) -> None:
    folder = Path(str(request.config.getoption("--pictures")))
    folder.mkdir(parents=True, exist_ok=True)
    for state in STATES:
        show(open_window, stages, state, color_scheme=scheme).screenshot(path=folder / f"{state}-{scheme}.png")


def sticking_out(page: Page) -> str:
    """What makes the page scroll sideways; nothing, where it does not."""
    found = page.evaluate(
        """() => document.documentElement.scrollWidth <= innerWidth ? [] : [document.documentElement,
        ...document.querySelectorAll("body *")].filter((each) => each.scrollWidth > innerWidth).map(
        (each) => `${each.tagName} ${each.className} ${each.id}: ${each.scrollWidth}`)"""
    )
    return "\n".join(found)


def _press_until(page: Page, key: str, wanted: object) -> None:
    """Press the key until that element has the focus; it is reached within sixty steps or not at all."""
    for _ in range(60):
        if wanted.evaluate("element => element === document.activeElement"):  # type: ignore[attr-defined]
            return
        page.keyboard.press(key)
    pytest.fail(f"{key} does not lead there")
