"""The commands of the page on training are commands, and the candidates that it names are those that there are."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from flows import explanation
from flows.command_line import parser_of
from flows.core.candidates import CANDIDATES
from flows.pipeline_flow import training_pipeline

PAGE = (Path(__file__).parents[3] / "docs" / "how-to" / "train.md").read_text()


def commands(module: str) -> list[list[str]]:
    found = re.findall(rf"python -m {re.escape(module)} ([^#\n]*)", PAGE)
    assert found
    return [shlex.split(line) for line in found]


def test_every_training_command_of_the_page_is_understood() -> None:
    for arguments in commands("flows.pipeline_flow"):
        assert parser_of(training_pipeline).parse_args(arguments).week == 3


def test_every_explanation_command_of_the_page_is_understood() -> None:
    for arguments in commands("flows.explanation"):
        assert explanation._parser().parse_args(arguments).asked


def test_the_page_names_every_candidate() -> None:
    listed = re.findall(r"`((?:naive-bayes|sgd|svm|logistic)-[\w-]+)`", PAGE.partition("| candidate |")[2])

    assert set(listed) == {candidate.name for candidate in CANDIDATES}
