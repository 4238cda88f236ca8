"""The commands that README.md and docs/ show, as they are written, and who runs them.

Every shell block is collected, so that a command which is new on a page is run by tests/e2e/test_documented_commands.py
unless it is named here. What is named here and stands on no page any more fails tests/unit/suite/test_documented.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
SHELLS = ("sh", "bash", "shell", "console")
PROMPT = "$ "

RUN_BY = {
    "docs/how-to/add-a-use-case.md": "tests/prefect/test_how_to_add_a_use_case.py",
    "docs/how-to/command-line.md": "tests/contract/test_how_to_command_line.py",
    "docs/how-to/connect.md": "tests/airflow/test_how_to_connect.py",
}
"""Pages whose commands want another stage than the stack, with the tests that run all of them."""

NOT_RUN = {
    "make demo": "the whole stack a second time; tests/e2e/test_weekly_loop.py runs its weeks",
    "make up": "a second stack beside the first; tests/e2e/live_stack.py starts one in the same way",
    "make test": "the tests themselves",
    "make wheel": "tests/wheel builds it and installs it into an environment of its own",
    "pip install": "tests/wheel does it in an environment of its own",
    "make env": "it writes .env into the checkout; tests/unit/docker/test_scripts.py has it write elsewhere",
    "docker compose": "needs Docker",
    "airflow backfill create": "wants a schedule; tests/e2e/test_backfill.py runs it",
    "airflow dags unpause": "wants a schedule; tests/e2e/test_backfill.py unpauses a DAG after its backfill",
    "airflow connections add": "tests/airflow/test_how_to_connect.py runs the same line of docs/how-to/connect.md",
    ".venv-airflow/bin/python -m pytest": "the tests themselves",
    ".venv-ml/bin/python -m pytest": "the tests themselves",
    "export AIRFLOW_HOME=$(mktemp -d)": "tests/airflow/test_fake_prefect.py runs the page's tests",
    "airflow db migrate": "tests/airflow/test_fake_prefect.py runs the page's tests",
    "PYTHONPATH=dags pytest": "tests/airflow/test_fake_prefect.py runs the page's tests",
    "export PREFECT_API_URL=http://127.0.0.1:4200/api": "the next command's; of the stack this is set",
    "python -m flows.serving": "it serves until Ctrl-C; tests/prefect/test_serving.py has it serve",
    "python -m benchmarks.dataset": "minutes to an hour",
    "python -m factory relabel": "products of one's own; tests/unit/factory/test_corrections.py corrects some",
    "python -m factory update": "products of one's own; tests/unit/factory/test_corrections.py corrects some",
    "python -m factory freeze": "another test set would decide; tests/unit/factory/test_freezing.py freezes some",
    "python -m factory collect": "asks an exchange; tests/unit/factory/test_collecting.py asks one on loopback",
    "python -m factory load candles": "candles of one's own; tests/unit/factory/test_market.py loads some",
    "python -m factory load folder": "a CRM of one's own; tests/unit/factory/test_deals.py loads one",
    "python -m flows.acquisition": "wants months of deals; tests/prefect/use_cases/test_deals.py runs it",
    "python -m flows.pipeline_flow --use-case deals": "likewise; tests/prefect/use_cases/test_deals.py trains by month",
    "python -m flows.reference_data": "likewise; tests/prefect/use_cases/test_deals.py runs it",
    "python -m flows.monitor_and_retrain --use-case deals": "likewise; tests/prefect/use_cases/test_deals.py runs it",
    "python -m flows.songs": "tracks of one's own; tests/prefect/use_cases/test_songs.py runs the flow",
    "python workflows/run_pipeline.py": "tracks of one's own; tests/prefect/use_cases/test_songs.py runs the flow",
    "python -m flows.market": "minutes without a registry; tests/prefect/use_cases/test_market.py retrains so",
    "python -m factory load table": "a table of one's own; tests/unit/factory/test_entities.py loads some",
    "python -m factory delete": "products of one's own; tests/unit/factory/test_corrections.py corrects some",
}
"""Beginnings of commands, with the reason."""


@dataclass(frozen=True)
class Block:
    """The commands of one shell block, in their order; one that is written over several lines is one."""

    page: str
    line: int
    commands: tuple[str, ...]

    @property
    def to_run(self) -> tuple[str, ...]:
        """Those that are run on the stack."""
        return () if self.page in RUN_BY else tuple(each for each in self.commands if not reason_against(each))


def reason_against(command: str) -> str | None:
    """Why a command is not run as it is written, or None."""
    return next((reason for beginning, reason in NOT_RUN.items() if command.startswith(beginning)), None)


def pages() -> list[Path]:
    """README.md, the wheel's and everything below docs/."""
    return [CHECKOUT / "README.md", CHECKOUT / "bridge" / "README.md", *sorted((CHECKOUT / "docs").rglob("*.md"))]


def blocks() -> list[Block]:
    """Every shell block of every page."""
    found = []
    for page in pages():
        text = page.read_text()
        for block in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
            if block[1] in SHELLS:
                line = text[: block.start()].count("\n") + 1
                found.append(Block(str(page.relative_to(CHECKOUT)), line, tuple(_commands(block[2]))))
    return found


def shown_in(page: str, language: str) -> str:
    """The one block of that language on the page; raises ValueError where there is not one."""
    [found] = re.findall(rf"^```{language}\n(.*?)^```$", (CHECKOUT / page).read_text(), re.DOTALL | re.MULTILINE)
    return str(found)


def _commands(text: str) -> list[str]:
    lines = text.replace("\\\n", " ").splitlines()
    if any(line.startswith(PROMPT) for line in lines):
        lines = [line.removeprefix(PROMPT) for line in lines if line.startswith(PROMPT)]  # the rest is what they print
    return [line for line in lines if line.strip() and not line.startswith("#")]
