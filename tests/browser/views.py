"""The views of the control page by name, for those who go through all of them."""

from __future__ import annotations

import re
from urllib.parse import quote

from playwright.sync_api import Page, expect

from tests.browser.conftest import Stack

DAG = "weekly_ml_pipeline"
PATHS = {"overview": "", "choose": "run", "promotion": "promotion/products"}
"""Of the views whose address is not their name."""
ADDRESSES = {"form": re.compile(r"/run/[0-9a-f-]{36}$"), "run": re.compile(r"/runs/[0-9a-f-]{36}$")}
"""Of the views that a link leads to."""
ARRIVED = {"run": "#run-facts", "task": "#run-facts"}
"""What is there once the view is more than its first look."""


def go_to(page: Page, view: str, stack: Stack) -> None:
    """Open the view and wait until nothing of it is loading."""
    if view == "form":
        page.goto(f"{stack.page}/run")
        page.get_by_role("link", name="training-pipeline/products").click()
    elif view == "run":
        page.goto(f"{stack.page}/runs?deployment=training-pipeline/products")
        page.locator("tbody th a").first.click()
    elif view == "task":
        page.goto(task_page(stack))
    elif view == "missing":
        page.goto(f"{stack.page}/runs/00000000-0000-4000-8000-000000000000")
    else:
        page.goto(f"{stack.page}/{PATHS.get(view, view)}")
    page.wait_for_url(ADDRESSES.get(view, re.compile("")))
    expect(page.locator(ARRIVED.get(view, "main h1"))).to_be_visible(timeout=30_000)
    expect(page.locator(".loading")).to_have_count(0, timeout=30_000)


def task_page(stack: Stack) -> str:
    """The tab of a training's task."""
    newest = stack.airflow(f"/dags/{DAG}/dagRuns?order_by=-run_after&limit=1")["dag_runs"][0]["dag_run_id"]
    return f"{stack.page}/task?dag_id={DAG}&run_id={quote(newest)}&task_id=train&map_index=-1"


VIEWS = ("overview", "choose", "form", "runs", "run", "deployments", "promotion", "task", "missing")
