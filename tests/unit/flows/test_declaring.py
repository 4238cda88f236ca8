"""`prefect.yaml` is what the declared use cases say."""

from __future__ import annotations

import yaml

from factory import contracts
from factory.use_cases import ALL
from flows import declaring


def test_the_committed_file_is_the_one_that_the_command_writes() -> None:
    assert declaring.DECLARED.read_text() == declaring.draw(), "run python -m flows.declaring"


OF_EVERY_CLOCK = (contracts.score, contracts.training, contracts.promotion, contracts.monitor)
OF_MONTHS = (contracts.acquisition, contracts.reference_data)


def test_every_use_case_has_the_deployments_that_its_contracts_name() -> None:
    declared = {(each["entrypoint"].rpartition(".")[2].replace("_", "-"), each["name"]) for each in _entries()}
    named = {
        tuple(made(each.name).name.split("/"))
        for each in ALL
        for made in (*OF_EVERY_CLOCK, *(OF_MONTHS if each.clock.noun == "month" else ()))
    }
    assert declared == named


def _entries() -> list[dict[str, str]]:
    entries: list[dict[str, str]] = yaml.safe_load(declaring.draw())["deployments"]
    return entries
