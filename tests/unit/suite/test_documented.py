"""That every command of the pages is found and is run by somebody, and that the exceptions are still there."""

from __future__ import annotations

import re

import pytest

from tests.documented import CHECKOUT, NOT_RUN, RUN_BY, SHELLS, blocks, pages, reason_against

COMMAND = re.compile(r"^\$? ?(?:make|bridge|prefect|airflow|docker|pip|python -m|\.venv-\S+) \S", re.MULTILINE)


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.stem)
def test_a_block_that_holds_commands_is_a_shell_block(page) -> None:
    for language, text in re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE):
        assert language in (*SHELLS, "python", "sql") or not COMMAND.search(text), text


@pytest.mark.parametrize("beginning", NOT_RUN)
def test_what_is_not_run_stands_on_a_page(beginning: str) -> None:
    assert any(command.startswith(beginning) for block in blocks() for command in block.commands)


@pytest.mark.parametrize(("page", "test"), RUN_BY.items())
def test_a_page_with_a_stage_of_its_own_has_its_test(page: str, test: str) -> None:
    assert (CHECKOUT / page).exists()
    assert page.rpartition("/")[2] in (CHECKOUT / test).read_text()


@pytest.mark.parametrize("reason", sorted({reason for reason in NOT_RUN.values() if "tests/" in reason}))
def test_the_tests_that_run_a_command_otherwise_are_there(reason: str) -> None:
    for path in re.findall(r"tests/[\w/.]+", reason):
        assert (CHECKOUT / path.rstrip(".")).exists()


def test_everything_else_is_run() -> None:
    run = [command for block in blocks() for command in block.to_run]
    assert {"bridge doctor", "source .stack/env"} <= {command.partition("#")[0].strip() for command in run}
    assert not any(reason_against(command) for command in run)
