"""Who holds the title: what the registry's alias says, and what the record of decisions says.

Owns how the two are compared, and the words and commands for where they differ. Both may be touched by hand: an alias
is moved, a version deleted, a catalogue begun anew under an old registry. A challenger is judged only beside a champion
on whom both agree, and on rows that neither was trained on. Changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from factory import use_cases
from factory.contracts import DatasetRef
from factory.errors import FactoryError
from factory.records import decisions
from factory.settings import Settings
from factory.snapshots.known_rows import count_trained
from flows.adapters import registry
from flows.adapters.datasets import admit
from flows.adapters.decisions import MADE_CHAMPION_TAG
from flows.adapters.registry import CHAMPION, RegistryError, Version

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow import MlflowClient
    from sqlalchemy import Connection

    from factory.records.decisions import Decision

NOBODY = "none"
"""What stands for a version where there shall be no champion."""


class TitleUnclear(RegistryError):
    """Registry, record and snapshots do not agree on the champion; the message says how to mend it."""


def find_champion(connection: Connection, client: MlflowClient, model: str) -> Version | None:
    """The champion on whom alias and last decision agree; None when both know of none.

    Where no decision was ever recorded the alias is believed. Raises TitleUnclear.
    """
    champion = registry.find_version(client, model, CHAMPION)
    last = last_decision(connection, model)
    if last is None:
        return champion
    agreed = last.result.champion_version == (champion and champion.number)
    if agreed and not (champion and _is_another(connection, model, champion.number, champion.tags)):
        return champion
    raise TitleUnclear(_difference(connection, client, model, last, champion))


def explain_absence(connection: Connection, client: MlflowClient, model: str) -> str:
    """Why no version bears the alias: nobody was promoted yet, or it was taken away."""
    last = last_decision(connection, model)
    if last is None or last.result.champion_version is None:
        return "there is no champion yet"
    return _difference(connection, client, model, last, None)


def last_decision(connection: Connection, model: str) -> Decision | None:
    """The decision that was recorded last, whatever it was: each of them names the champion after it."""
    return next(iter(decisions.read_decisions(connection, model, limit=1)), None)


def refuse_known_rows(settings: Settings, trained: Version, judged: Version) -> None:
    """Nothing, when the version that was `trained` knows none of the rows on which `judged` is measured.

    `judged` is the challenger with the test set that decides, `trained` the champion or the challenger itself as it was
    trained. A version that was trained beside the same frozen test set knows none of it; else its snapshot is read.
    Where both test sets roll on with the clock the policy's rule `overlap` tells. Raises TitleUnclear.
    """
    test, itself = judged.dataset.test, trained.number == judged.number
    if trained.dataset.test.sha256 == test.sha256 or (trained.dataset.span and judged.dataset.span):
        return
    both = f"champion v{trained.number} and challenger v{judged.number} of {judged.model!r}"
    who = f"challenger v{judged.number} of {judged.model!r}" if itself else f"{both} have different test sets"
    way = _retrain(judged.model) if itself else _retire(judged.model)
    try:
        known = count_trained(admit(settings, trained.dataset), admit(settings, judged.dataset).test)
    except (FactoryError, OSError) as error:
        raise TitleUnclear(
            f"{who}, and the snapshot that would tell on which rows the {'challenger' if itself else 'champion'} was "
            f"trained cannot be read ({error}): restore it, or {way}"
        ) from error
    if known and itself:
        raise TitleUnclear(
            f"{who} was trained on {known:,} of the {test.rows:,} rows of test set {judged.dataset.test_version}, and "
            f"would only recite them: {way}"
        )
    if known:
        raise TitleUnclear(
            f"{who}, and the champion was trained on {known:,} of the {test.rows:,} rows of the challenger's: it comes "
            "from another catalogue, and would only recite them. Point DATABASE_URL at the catalogue that it was "
            f"trained from, or {way}"
        )


def may_hold(connection: Connection, client: MlflowClient, model: str) -> set[str]:
    """The versions that a person may give the title to without the gate: former champions, and whoever bears it now."""
    held = {each.result.champion_version for each in decisions.read_decisions(connection, model)}
    held -= registry.tags_by_number(client, model).keys() - _own(connection, client, model)
    return {number for number in {*held, registry.alias_number(client, model, CHAMPION)} if number}


def former(connection: Connection, client: MlflowClient, model: str) -> list[str]:
    """The versions that held the title and are still there, the last holder first."""
    held = (each.result.champion_version for each in decisions.read_decisions(connection, model))
    there = _own(connection, client, model)
    return [number for number in dict.fromkeys(held) if number in there]


def refuse_deleted(connection: Connection, client: MlflowClient, model: str, number: str, champion: str) -> None:
    """Nothing, when there still is a version of that number to take the title over; raises RegistryError.

    `champion` is who holds it now.
    """
    if number in registry.tags_by_number(client, model):
        return
    others = [each for each in former(connection, client, model) if each != champion]
    ways = [f"to give the title to a former champion that is left: {_command(model, each)}" for each in others[:1]]
    ways.append(f"to go on without a champion: {_command(model, NOBODY)}")
    raise RegistryError(
        f"version {number} of model {model!r} was deleted from the registry and cannot become champion again; "
        + "; ".join(ways)
    )


def standing(connection: Connection, client: MlflowClient, model: str) -> tuple[str | None, DatasetRef]:
    """The champion's number by the record, else by the alias, and the data of its decision or training.

    Raises RegistryError when neither knows of any.
    """
    if last := last_decision(connection, model):
        return last.result.champion_version, last.dataset
    if champion := registry.find_version(client, model, CHAMPION):
        return champion.number, champion.dataset
    raise RegistryError(
        f"{model!r} has no champion, neither by the registry nor by the record: there is nothing to mend"
    )


def _own(connection: Connection, client: MlflowClient, model: str) -> set[str]:
    """The registry's versions, without those that are others than the record means."""
    known = registry.tags_by_number(client, model)
    return {number for number, tags in known.items() if not _is_another(connection, model, number, tags)}


def _is_another(connection: Connection, model: str, number: str, tags: Mapping[str, str]) -> bool:
    """Whether a decision gave the title to a version of that number, and this one knows nothing of it.

    A registry that was begun anew counts its versions from 1 again.
    """
    return not tags.get(MADE_CHAMPION_TAG) and decisions.find_promotion(connection, model, number) is not None


def _difference(
    connection: Connection, client: MlflowClient, model: str, last: Decision, champion: Version | None
) -> str:
    """The two that do not agree, and the commands that mend it."""
    recorded = last.result.champion_version
    stands = f"stands at version {champion.number}" if champion else "is gone"
    by_record = f"version {recorded} is the champion" if recorded else "there is no champion"
    said = (
        f"MLflow's alias {CHAMPION!r} of model {model!r} {stands}, but by the last decision "
        f"({last.decided_at:%Y-%m-%d %H:%M}, {last.result.decided_by}) {by_record}"
    )
    back = recorded or NOBODY
    if recorded and recorded not in _own(connection, client, model):
        there = recorded in registry.tags_by_number(client, model)
        gone = "of this registry is another one, it was begun anew" if there else "was deleted"
        said += f", and version {recorded} {gone}"
        back = next(iter(former(connection, client, model)), NOBODY)
    ways = {back: "to return to the record" if back == recorded else "to go on from there"}
    ways.setdefault(champion.number if champion else NOBODY, "to accept the registry")
    return f"{said}; {', '.join(f'{why}: {_command(model, who)}' for who, why in ways.items())}"


def _retire(model: str) -> str:
    return f"let the next challenger be judged without this champion: {_command(model, NOBODY)}"


def _retrain(model: str) -> str:
    return f"train another challenger: python -m flows.pipeline_flow {use_cases.get_model(model).options}"


def _command(model: str, number: str) -> str:
    return f"python -m flows.promotion {use_cases.get_model(model).options} --champion {number}"
