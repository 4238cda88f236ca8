"""Takes the README's pictures of a running stack: `python docs/pictures/take.py .stack`.

Needs playwright (any environment) and a Chromium; CHROMIUM names it where it is not /usr/bin/chromium. The stack must
have run a demo.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Page, sync_playwright

HERE = Path(__file__).parent
DAG = "weekly_ml_pipeline"
SIZE = {"width": 1440, "height": 860}


def main(home: Path) -> None:
    """Write the pictures beside this file."""
    state = json.loads((home / "stack.json").read_text())
    identity = json.loads((home / "identity.json").read_text())
    airflow, prefect = (f"http://127.0.0.1:{state['ports'][name]}" for name in ("AIRFLOW_PORT", "PREFECT_PORT"))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        page = browser.new_page(viewport=SIZE)
        log_in(page, airflow, identity["admin_password"])
        run = last_run(page, airflow)
        take(page, f"{airflow}/dags/{DAG}/runs/{run}", "weekly-run.png")
        take(page, f"{airflow}/dags/{DAG}/runs/{run}/tasks/train/details", "bridge-task.png")
        show_secret(page, prefect, f"prefect:{identity['prefect_password']}")
        take(page, f"{prefect}/runs", "prefect-runs.png")
        browser.close()


def log_in(page: Page, airflow: str, password: str) -> None:
    """Through the login page, as a person would."""
    page.goto(f"{airflow}/auth/login")
    page.fill("input[name=username]", "admin")
    page.fill("input[name=password]", password)
    page.click("button[type=submit]")
    page.wait_for_url(lambda url: "/auth/" not in url)


def show_secret(page: Page, prefect: str, secret: str) -> None:
    """On Prefect's page that asks for it."""
    page.goto(prefect)
    page.fill("input[type=password]", secret)
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "/login" not in url)


def last_run(page: Page, airflow: str) -> str:
    """Id of the newest run, as it stands in an address."""
    found = page.request.get(f"{airflow}/api/v2/dags/{DAG}/dagRuns?order_by=-run_after&limit=1").json()
    return quote(found["dag_runs"][0]["dag_run_id"], safe="")


def take(page: Page, url: str, name: str) -> None:
    """One picture, once the page has drawn itself."""
    page.goto(url)
    page.wait_for_timeout(5000)  # these pages never stop asking, so there is no moment of rest to wait for
    page.screenshot(path=HERE / name)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else ".stack"))
