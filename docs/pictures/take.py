"""Takes the README's pictures of a running stack: `python docs/pictures/take.py .stack`.

Needs playwright (any environment) and a Chromium; CHROMIUM names it where it is not /usr/bin/chromium. The stack must
have run a demo.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

HERE = Path(__file__).parent
DAG = "weekly_ml_pipeline"
SIZE = {"width": 1440, "height": 860}


def main(home: Path) -> None:
    """Write the pictures beside this file."""
    state = json.loads((home / "stack.json").read_text())
    password = json.loads((home / "identity.json").read_text())["admin_password"]
    airflow, prefect, mlflow = (
        f"http://127.0.0.1:{state['ports'][f'{name}_PORT']}" for name in ("AIRFLOW", "PREFECT", "MLFLOW")
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        page = browser.new_page(viewport=SIZE)
        log_in(page, airflow, password)
        take(page, f"{airflow}/dags/{DAG}", "weekly-run.png")
        take(page, f"{prefect}/runs", "prefect-runs.png")
        take(page, f"{mlflow}/#/models/products", "mlflow-registry.png")
        browser.close()


def log_in(page: Page, airflow: str, password: str) -> None:
    """Through the login page, as a person would."""
    page.goto(f"{airflow}/auth/login")
    page.fill("input[name=username]", "admin")
    page.fill("input[name=password]", password)
    page.click("button[type=submit]")
    page.wait_for_url(lambda url: "/auth/" not in url)


def take(page: Page, url: str, name: str) -> None:
    """One picture, once the page has nothing more to load."""
    page.goto(url)
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(2500)  # charts are drawn after the last answer
    page.screenshot(path=HERE / name)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else ".stack"))
