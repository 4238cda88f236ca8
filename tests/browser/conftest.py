"""The whole real stack with two weeks behind it, and Chromium in which people are logged in.

Knows the stack by its command line and its files alone: this environment has neither Airflow nor Prefect.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

CHECKOUT = Path(__file__).resolve().parents[2]
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome") or "chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
DEMO_SECONDS = 900
VIEWER_TOKEN = """
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
print("token", SimpleAuthManager().generate_jwt(SimpleAuthManagerUser(username="visitor", role="VIEWER")))
"""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--pictures", help="take a picture of every view into this folder, and run nothing else")
    parser.addoption("--stack-home", help="a running stack with two weeks behind it, used as it is and left running")


@dataclass(frozen=True)
class Stack:
    """Where Airflow is, and how to log in."""

    url: str
    password: str
    viewer_token: str
    exports: dict[str, str]
    """The stack's addresses, as environment variables."""

    def cut(self, week: int) -> None:
        """Have the week cut and checked: no flow begins a new one."""
        command = [str(CHECKOUT / ".venv-ml" / "bin" / "python"), "-m", "factory", "cut", "--week", str(week)]
        subprocess.run(command, cwd=CHECKOUT, env={**os.environ, **self.exports}, check=True)

    @property
    def page(self) -> str:
        return f"{self.url}/control-page"

    def admin_token(self) -> str:
        login = {"username": "admin", "password": self.password}
        answer = httpx.post(f"{self.url}/auth/token", json=login, trust_env=False, timeout=30)
        return str(answer.raise_for_status().json()["access_token"])

    def airflow(self, path: str) -> Any:
        """What Airflow's REST API answers to the administrator."""
        bearer = {"Authorization": f"Bearer {self.admin_token()}"}
        answer = httpx.get(f"{self.url}/api/v2{path}", headers=bearer, trust_env=False, timeout=30)
        return answer.raise_for_status().json()


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """Two weeks of the sample: two models judged, the first of them champion for a while."""
    found = request.config.getoption("--stack-home")
    home = Path(found or tempfile.mkdtemp(prefix="stack-"))
    environment = {**os.environ, "STACK_HOME": str(home), "FREE_PORTS": "1"}
    command = [str(CHECKOUT / ".venv-ml" / "bin" / "python"), "-m", "stack"]

    def run(*arguments: str) -> None:
        done = subprocess.run(
            [*command, *arguments], cwd=CHECKOUT, env=environment, timeout=DEMO_SECONDS, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{arguments}: {done.stdout[-3000:]}\n{done.stderr[-3000:]}"

    if found:
        yield _stack(home)
        return
    try:
        run("up")
        run("demo", "--once", "--weeks", "2")
        yield _stack(home)
    finally:
        run("down")
        shutil.rmtree(home)


@dataclass(frozen=True)
class Stage:
    """A page with made-up troubles or with nothing in it, of which `tests.browser.stage` knows."""

    url: str
    tokens: dict[str, str]
    runs: dict[str, dict[str, str]]


@pytest.fixture(scope="session")
def stages() -> Iterator[dict[str, Stage]]:
    """Where each scene is to be seen, by the scene's name."""
    python = str(CHECKOUT / ".venv-airflow" / "bin" / "python")
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": CHECKOUT}
    plays = [subprocess.Popen([python, "-m", "tests.browser.stage", play], **pipes) for play in ("troubled", "empty")]
    found: dict[str, Stage] = {}
    try:
        for play in plays:
            line = next(line for line in iter(play.stdout.readline, "") if line.startswith("stage "))
            told = json.loads(line.removeprefix("stage "))
            found |= {scene: Stage(f"{told['url']}/{scene}", told["tokens"], told["runs"]) for scene in told["runs"]}
        yield found
    finally:
        for play in plays:
            play.stdin.close()
            play.wait(30)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_window(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """A window of its own, logged in with a token; what a page's script complains of fails the test."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def opened(url: str, token: str = "", **options: Any) -> Page:
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        if token:
            log_in(context, url, token)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(url)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def open_page(stack: Stack, open_window: Callable[..., Page]) -> Callable[..., Page]:
    """A view of the control page over the whole stack, for the administrator or whose token it is."""

    def opened(path: str = "", token: str | None = None, **options: Any) -> Page:
        return open_window(f"{stack.page}/{path}", token or stack.admin_token(), **options)

    return opened


@pytest.fixture(autouse=True)
def _pictures_alone(request: pytest.FixtureRequest) -> None:
    if bool(request.config.getoption("--pictures")) != ("picture" in request.node.name):
        pytest.skip("pictures are taken with --pictures, and nothing else is then")


def log_in(context: BrowserContext, url: str, token: str) -> None:
    """With Airflow's cookie, for all of the address's server."""
    parts = urlsplit(url)
    context.add_cookies([{"name": "_token", "value": token, "url": f"{parts.scheme}://{parts.netloc}"}])


def _stack(home: Path) -> Stack:
    identity, exports = json.loads((home / "identity.json").read_text()), _exports(home / "env")
    token = _viewer_token(identity["jwt_secret"])
    return Stack(exports["AIRFLOW_UI_URL"], identity["admin_password"], token, exports)


def _exports(path: Path) -> dict[str, str]:
    exports = dict(word.split("=", 1) for word in shlex.split(path.read_text()) if "=" in word)
    return {name: value for name, value in exports.items() if name != "PATH"}


def _viewer_token(secret: str) -> str:
    """A login of somebody who may only read; the stack itself has no such user."""
    environment = {**os.environ, "AIRFLOW__API_AUTH__JWT_SECRET": secret}
    python = str(CHECKOUT / ".venv-airflow" / "bin" / "python")
    done = subprocess.run([python, "-c", VIEWER_TOKEN], env=environment, capture_output=True, text=True, check=True)
    [token] = re.findall(r"^token (\S+)$", done.stdout, re.MULTILINE)
    return str(token)
