"""Decisions on the champion as commits on a branch that the user names: those that are not there yet, in their order.

Owns which decisions are written, how they meet what others pushed, and how often a push is tried. A commit names its
decision in a trailer, so that the branch itself tells what is missing: whatever was cut short is made up for by the
next call, and nothing is written twice. Must not know how a decision is reached, or how git is called.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from random import SystemRandom
from typing import NamedTuple

from factory import use_cases
from factory.catalogue.database import open_catalogue, transaction
from factory.records.decisions import Decision, read_decisions
from factory.settings import Settings
from flows.adapters import decisions, registry
from flows.adapters import promotion_manifest as told
from flows.adapters.git_branch import Branch, BranchMoved, Commit, RepositoryAway, opened
from flows.adapters.promotion_manifest import Champion
from flows.adapters.registry import RegistryError

AWAY_PAUSES_SECONDS = (1.0, 2.0, 4.0)
"""Between attempts to reach the repository."""
MOST_MOVES = 20
"""How often others may be quicker before it is given up; of several writers one always gets through."""
MOVED_PAUSE_SECONDS = 0.5
_log = logging.getLogger(__name__)
_random = SystemRandom()


class Told(NamedTuple):
    """A decision, and the file's text after it."""

    decision: Decision
    text: str


class Written(NamedTuple):
    """The commits of the branch by the decision that they tell of, and the first lines of those that are new."""

    commits: Mapping[str, str]
    new: Sequence[str]


def write_missing(settings: Settings, model: str) -> Written:
    """Commit every decision that changed the model's champion and is not on the branch yet, the oldest first.

    Raises GitError where that could not be done, and FactoryError where catalogue or registry are away; then the branch
    is as it was. Raises ValueError where no repository is named.
    """
    if settings.promotion_repository is None:
        raise ValueError("PROMOTION_REPOSITORY names no repository")
    path = told.path_of(settings.promotion_folder, use_cases.get_model(model).use_case.name, model)
    known: dict[str, Told] = {}
    moves, pauses = 0, list(AWAY_PAUSES_SECONDS)
    with opened(settings.promotion_repository, settings.promotion_branch) as branch:
        while True:
            try:
                return _write(settings, model, branch, path, known)
            except BranchMoved:
                moves += 1
                if moves > MOST_MOVES:
                    raise
                time.sleep(_random.uniform(0, MOVED_PAUSE_SECONDS))
            except RepositoryAway as error:
                if not pauses:
                    raise
                _log.info("%s; it is tried again", error)
                time.sleep(pauses.pop(0) * _random.uniform(0.5, 1.5))


def _write(settings: Settings, model: str, branch: Branch, path: str, known: dict[str, Told]) -> Written:
    """One attempt, on the branch as it is now; `known` keeps what the registry was asked for the next."""
    tip = branch.fetch()
    there, new = branch.trailers(tip, told.DECISION), []
    for decision in _changes(settings, model):
        if decision.decision_id in there:
            continue
        if decision.decision_id not in known:
            known[decision.decision_id] = Told(decision, _text(settings, decision, model))
        tip, there[decision.decision_id] = _add(branch, tip, path, known[decision.decision_id], model)
        new.append(told.subject(decision, model))
    if new and tip is not None:
        branch.push(tip)
    return Written(there, new)


def _add(branch: Branch, tip: str | None, path: str, each: Told, model: str) -> tuple[str, str]:
    """The branch's new tip, and the commit of the decision.

    Where the file already tells of a later decision, the commit stands beside the branch and is merged into it: both
    are in the history, and the file stays with the later one.
    """
    decision, says = each.decision, told.author(each.decision)
    commit = Commit(told.message(decision, model), says, decision.decided_at)
    added = branch.add(tip, {path: each.text}, commit)
    if tip is None or told.is_later(decision, branch.read(tip, path)):
        return added, added
    merge = Commit(told.merge_message(decision, model), says, decision.decided_at)
    return branch.merge(tip, added, merge), added


def _changes(settings: Settings, model: str) -> list[Decision]:
    """The decisions that changed the champion, the oldest first; one that was cut short gets its row before."""
    client = registry.connect(settings.mlflow_tracking_uri)
    with transaction(open_catalogue(settings.database_url)) as connection:
        decisions.complete(connection, client, model)
        return [each for each in reversed(read_decisions(connection, model)) if each.changed_champion]


def _text(settings: Settings, decision: Decision, model: str) -> str:
    number = decision.result.champion_version
    return told.manifest(decision, model, None if number is None else _champion(settings, model, number))


def _champion(settings: Settings, model: str, number: str) -> Champion | None:
    """None where the version, or its files, are gone from the registry, or its number is another's by now."""
    client = registry.connect(settings.mlflow_tracking_uri)
    try:
        version = registry.get_version(client, model, number)
        if not version.tags.get(decisions.MADE_CHAMPION_TAG):
            raise RegistryError(f"the registry was begun anew, and version {number} never held the title")
        return Champion(version, registry.checksum(client, version, settings.data_roots))
    except RegistryError as error:
        _log.warning("the manifest of version %s of %s has no checksum: %s", number, model, error)
        return None
