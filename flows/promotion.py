"""`promotion`: challenger and champion on one frozen test set, and who bears the alias `champion` afterwards.

Owns the order of a decision: everything is written first and the alias moves last, so that a run which dies in between
decided nothing. One decision at a time, by a lock in the catalogue's database, because MLflow's aliases know no
compare-and-set. The rules are `flows.core.policy`, their numbers the use case's gate.

    python -m flows.promotion --threshold 0.8
    python -m flows.promotion --rollback
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from prefect import flow, get_run_logger, task

from factory import use_cases
from factory.catalogue.database import exclusive, open_catalogue
from factory.catalogue.schema import decisions as decisions_table
from factory.contracts import DatasetRef, PromotionResult, Share
from factory.lineage.data import of_alias, of_file, of_table, of_version
from factory.records import measurements
from factory.settings import Settings, read_settings
from flows.adapters import decisions, exam, promotion_case, promotion_results, registry, runs, title
from flows.adapters.announcement import announce_failure, announce_result
from flows.adapters.exam import Exam
from flows.adapters.initiator import find_initiator
from flows.adapters.lineage import reads, tell_lineage, writes
from flows.adapters.measured_evidence import as_measurement
from flows.adapters.promotion_case import Case
from flows.adapters.promotion_results import Links
from flows.adapters.publication import publish
from flows.adapters.registry import CHALLENGER, RegistryError, Version
from flows.adapters.retries import NETWORK
from flows.committing import commit_decisions
from flows.core import policy
from flows.core.logic import logic_of
from flows.core.policy import Costs

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient

COST_TAGS = {"size_bytes": "serving_size_bytes", "memory_bytes": "serving_memory_bytes", "p95_ms": "serving_p95_ms"}


class Answers(NamedTuple):
    """A model's answers to rows (prediction and score), and the classes that it knows."""

    rows: pd.DataFrame
    classes: frozenset[str]


@flow(
    name="promotion",
    on_running=[tell_lineage],
    on_completion=[tell_lineage, announce_result(PromotionResult)],
    on_failure=[tell_lineage, announce_failure],
    on_crashed=[tell_lineage, announce_failure],
    on_cancellation=[tell_lineage],
)
def promotion(
    use_case: str = "products",
    model_version: str | int | None = None,  # `--param model_version=7` is a number
    threshold: Share | None = None,
    rollback: bool = False,
    approved_by: str | None = None,
    rejected_by: str | None = None,
    requested_by: str | None = None,
    rehearsal: bool = False,
    champion: str | int | None = None,
    model: str | None = None,
) -> dict[str, Any]:
    """Make the challenger champion if it deserves it, or give the title back.

    The challenger wins when it meets every rule of the use case's gate (`factory.use_cases`), beside the champion on
    the test set that was frozen last. A version that was rolled back is judged again only when named. Gives
    `PromotionResult` as a dict; raises RegistryError when there is nobody to judge or nobody to go back to, and
    TestSetOutdated when too many test rows are not as the catalogue has them.

    Args:
        use_case: Whose models.
        model_version: The version to judge; the one under the alias challenger when none is named.
        threshold: The metric that decides (0 to 1), in the place of the gate's floor.
        rollback: Give the alias back to the champion before.
        approved_by: The person who approved, where approval is asked for.
        rejected_by: The person who refused, which keeps the champion in any case.
        requested_by: Recorded as whoever decided.
        rehearsal: Judge and change nothing.
        champion: Mend the title by hand: to a version that held it before or bears it now, or to `none`.
        model: Which of the use case's models; may be left out where it has one.
    """
    settings = read_settings()
    declared = use_cases.choose_model(use_case, model)
    gate = declared.model.gate
    case = Case(
        model=declared.name,
        gate=gate if threshold is None else replace(gate, floor=threshold),
        approval=promotion_case.asked(settings, gate, approved_by, rejected_by, rehearsal=rehearsal),
        initiator=find_initiator(settings.prefect_ui_url, requested_by),
        named=model_version is not None,
        rehearsal=rehearsal,
    )
    if champion is not None:
        result = mend_title(settings, case, str(champion))
    elif rollback:
        result = give_back(settings, case)
    else:
        challenger = find_challenger(settings, case, None if model_version is None else str(model_version))
        frozen = find_exam(settings, case, challenger)
        reads(of_file(frozen.dataset.test))
        rows: pd.DataFrame = read_rows(settings, case, frozen.dataset)
        costs = measure_costs.submit(settings, case, challenger, rows)  # it waits for another process
        answers: Answers = predict(settings, case, challenger, rows)
        result = decide(settings, case, challenger, frozen, rows, answers, costs.result())
    _tell(settings, case, result)
    result = commit_decisions(settings, case, result)
    get_run_logger().info("champion: version %s (%s)", result.champion_version, result.reason)
    return publish(result)


@task(**NETWORK)
def find_challenger(settings: Settings, case: Case, number: str | None) -> Version:
    """The version to judge; raises RegistryError when there is none."""
    client = registry.connect(settings.mlflow_tracking_uri)
    if number is not None:
        return registry.get_version(client, case.model, number)
    if found := registry.find_version(client, case.model, CHALLENGER):
        return found
    raise RegistryError(f"model {case.model!r} has no challenger: run training-pipeline first")


@task(**NETWORK)
def find_exam(settings: Settings, case: Case, challenger: Version) -> Exam:
    """The test set that decides; raises TestSetOutdated where it is too far from the catalogue as it is."""
    found = exam.find_exam(settings, challenger.dataset)
    get_run_logger().info("%s", found.difference.sentence())
    found.difference.refuse_beyond(case.gate.largest_test_change, case.use_case)
    return found


@task(**NETWORK)
def read_rows(settings: Settings, case: Case, dataset: DatasetRef) -> pd.DataFrame:
    """The frozen test set, on which both models are asked; its checksum is verified."""
    from flows.adapters.datasets import read_test

    return read_test(settings, dataset, case.declared)


@task(**NETWORK)
def predict(settings: Settings, case: Case, version: Version, rows: pd.DataFrame) -> Answers:
    """The version's answers to the rows, in their order."""
    logic, client = logic_of(case.declared), registry.connect(settings.mlflow_tracking_uri)
    model = registry.load_model(client, version, settings.data_roots, trusted=logic.trusted)
    return Answers(logic.examine(model, rows), logic.outcomes(model))


@task(**NETWORK)
def measure_costs(settings: Settings, case: Case, challenger: Version, rows: pd.DataFrame) -> Costs:
    """What serving the challenger costs, measured once a version and kept on it.

    A version that was too expensive is measured again: the machine may have been busy.
    """
    from flows.adapters import serving_costs

    known = {name: float(challenger.tags[tag]) for name, tag in COST_TAGS.items() if tag in challenger.tags}
    if len(known) == len(COST_TAGS):
        costs = Costs(int(known["size_bytes"]), int(known["memory_bytes"]), known["p95_ms"])
        if policy.affordable(costs, case.gate):
            return costs
    client = registry.connect(settings.mlflow_tracking_uri)
    with registry.downloaded(client, challenger, settings.data_roots) as folder:
        costs = serving_costs.measure_costs(folder, case.model, rows)
    registry.tag(client, challenger, {tag: asdict(costs)[name] for name, tag in COST_TAGS.items()})
    return costs


@task(**NETWORK)
def decide(
    settings: Settings,
    case: Case,
    challenger: Version,
    frozen: Exam,
    rows: pd.DataFrame,
    answers: Answers,
    costs: Costs,
) -> PromotionResult:
    """Judge, write the decision down and move the alias, while nobody else does; may be repeated."""
    from flows.adapters.model_card import log_card

    with exclusive(open_catalogue(settings.database_url), case.lock) as connection:
        client = registry.connect(settings.mlflow_tracking_uri)
        if earlier := decisions.find_earlier(connection, client, case.model, case.initiator):
            return earlier
        champion = title.find_champion(connection, client, case.model)
        rival = champion if champion and champion.number != challenger.number else None
        judged = replace(challenger, dataset=frozen.dataset)
        overlap = promotion_case.find_overlap(case, judged, rival)
        if overlap and not overlap.passed:
            rival = None  # no number of it on these rows would mean anything
        for trained in filter(None, (challenger, rival)):
            title.refuse_known_rows(settings, trained, judged)
        theirs = predict.fn(settings, case, rival, rows) if rival else None
        near = _near_rows(client, settings, challenger, judged)
        logic = logic_of(case.declared)
        gathered = logic.gather(rows, answers.rows, theirs.rows if theirs else None, gate=case.gate, near=near)
        classes = answers.classes | (theirs.classes if theirs else frozenset())
        report = exam.look(
            connection,
            frozen,
            logic.classes(rows),
            classes,
            model=case.model,
            look_id=f"{challenger.run_id} beside {rival.run_id if rival else title.NOBODY}",
            kind="judgement",
        )
        candidates = case.declared.model.candidates or case.declared.candidates
        evidence = logic.discount(gathered, report.looks, len(candidates), case.gate)
        verdict = promotion_case.judge(case, judged, champion, evidence, costs, overlap)
        links = _links(client, settings, judged)
        result = promotion_results.verdict_result(case, judged, champion, verdict, evidence, costs, links, report)
        if verdict.rule != "standing":  # its card tells how it became champion
            log_card(client, settings, case, judged, evidence, result)
        if not case.rehearsal:
            measurements.record(connection, as_measurement(judged, rival, evidence))
            decisions.write_verdict(connection, client, judged, result, case.initiator)
        return result


@task(**NETWORK)
def give_back(settings: Settings, case: Case) -> PromotionResult:
    """Give the alias back to the champion before, and write so on both versions.

    Loads no model, so that it works when the champion's is what is broken.
    """
    with exclusive(open_catalogue(settings.database_url), case.lock) as connection:
        client = registry.connect(settings.mlflow_tracking_uri)
        if earlier := decisions.find_earlier(connection, client, case.model, case.initiator):
            return earlier
        leaving = title.find_champion(connection, client, case.model)
        if leaving is None:
            raise RegistryError(f"model {case.model!r} has no champion to roll back: promote a version first")
        before = leaving.tags.get(decisions.PREVIOUS_TAG)
        if not before:
            raise RegistryError(
                f"version {leaving.number} of {case.model!r} had no champion before it: promote another one "
                f"(--model-version NUMBER), or go on without one (--champion {title.NOBODY})"
            )
        title.refuse_deleted(connection, client, case.model, before, leaving.number)
        returning = registry.get_version(client, case.model, before)
        links = _links(client, settings, returning)
        result = promotion_results.rollback_result(case, leaving, returning, links)
        decisions.write_rollback(connection, client, leaving, returning, result, case.initiator)
        return result


@task(**NETWORK)
def mend_title(settings: Settings, case: Case, number: str) -> PromotionResult:
    """The title to that version, or to nobody, without the gate: for a registry that was touched by hand; recorded.

    Raises RegistryError for a version that neither held the title before nor bears it now.
    """
    with exclusive(open_catalogue(settings.database_url), case.lock) as connection:
        client = registry.connect(settings.mlflow_tracking_uri)
        if earlier := decisions.find_earlier(connection, client, case.model, case.initiator):
            return earlier
        allowed = title.may_hold(connection, client, case.model)
        if number != title.NOBODY and number not in allowed:
            raise RegistryError(
                f"version {number} never was champion of {case.model!r}: let the gate decide "
                f"(--model-version {number}), or name {' or '.join([*sorted(allowed), title.NOBODY])}"
            )
        if number != title.NOBODY:
            bearer = registry.alias_number(client, case.model, registry.CHAMPION) or title.NOBODY
            title.refuse_deleted(connection, client, case.model, number, bearer)
        holder = None if number == title.NOBODY else registry.get_version(client, case.model, number)
        before, dataset = title.standing(connection, client, case.model)
        links = _links(client, settings, holder) if holder else Links(None, None, None)
        result = promotion_results.mended_result(case, holder, before, dataset, links)
        decisions.write_mended(connection, client, case.model, holder, dataset, result, case.initiator)
        return result


def _tell(settings: Settings, case: Case, result: PromotionResult) -> None:
    """What the decision was about and what it changed, as lineage."""
    registered, champion = settings.mlflow_tracking_uri, result.champion_version
    for number in (result.challenger_version, result.previous_champion_version):
        if number not in (None, title.NOBODY):
            reads(*of_version(registered, case.model, number))
    if case.rehearsal:
        return
    writes(of_table(settings.database_url, decisions_table))
    if champion is not None and champion != result.previous_champion_version:
        writes(of_alias(registered, case.model, registry.CHAMPION, champion))


def _near_rows(client: MlflowClient, settings: Settings, challenger: Version, judged: Version) -> frozenset[str] | None:
    """Test rows that nearly equal a training row; None where the challenger was trained beside another test set."""
    if challenger.dataset.test.sha256 != judged.dataset.test.sha256:
        return None
    return runs.read_near_rows(client, challenger, settings.data_roots)


def _links(client: MlflowClient, settings: Settings, version: Version) -> Links:
    from flows.adapters.model_card import card_url

    page = settings.mlflow_ui_url
    version_page = f"{page.rstrip('/')}/#/models/{version.model}/versions/{version.number}" if page else None
    experiment_page = runs.experiment_url(client, page, version.run_id)
    return Links(version_page, card_url(client, settings, version), experiment_page)


if __name__ == "__main__":
    from flows.command_line import run

    run(promotion)
