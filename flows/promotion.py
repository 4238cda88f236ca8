"""`promotion`: challenger and champion on one frozen test set, and who bears the alias `champion` afterwards.

Owns the order of a decision: everything is written on the version first and the alias moves last, so that a run which
dies in between decided nothing. One decision at a time, by a lock in the catalogue's database, because MLflow's aliases
know no compare-and-set. The rule itself is `flows.core.policy`.

    python -m flows.promotion --threshold 0.8
    python -m flows.promotion --rollback
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from prefect import flow, get_run_logger, task

from factory import use_cases
from factory.catalogue import exclusive, open_catalogue
from factory.contracts import FileRef, PromotionResult
from factory.settings import Settings, read_settings
from flows.adapters import registry
from flows.adapters.announcement import announce_failure, announce_result
from flows.adapters.publication import publish
from flows.adapters.registry import CHALLENGER, CHAMPION, RegistryError, Version
from flows.adapters.retries import NETWORK
from flows.core import policy

if TYPE_CHECKING:
    from mlflow import MlflowClient

PREVIOUS_TAG = "previous_champion"
ROLLED_BACK_TAG = "rolled_back_at"


@flow(
    name="promotion",
    on_completion=[announce_result(PromotionResult)],
    on_failure=[announce_failure],
    on_crashed=[announce_failure],
)
def promotion(
    use_case: str = "products", model_version: str | None = None, threshold: float = 0.75, rollback: bool = False
) -> dict[str, Any]:
    """Make the challenger champion if it deserves it, or give the title back.

    The challenger is `model_version`, else the version under the alias. It wins when its weighted F1 (0 to 1) reaches
    `threshold` and beats the champion's. `rollback` gives the alias back to the champion before. A version that was
    rolled back is judged again only when named. Gives `PromotionResult` as a dict; raises RegistryError when there is
    nobody to judge or nobody to go back to.
    """
    settings = read_settings()
    if rollback:
        result = give_back(settings, use_case, threshold)
    else:
        result = decide(settings, use_case, model_version, threshold)
    get_run_logger().info("champion: version %s (%s)", result.champion_version, result.reason)
    return publish(result)


@task(**NETWORK)
def decide(settings: Settings, use_case: str, model_version: str | None, threshold: float) -> PromotionResult:
    """Judge, write the decision on the version and move the alias, while nobody else does; may be repeated."""
    with exclusive(open_catalogue(settings.database_url), f"promotion/{use_case}"):
        client = registry.connect(settings.mlflow_tracking_uri)
        model = use_cases.get(use_case).model_name
        challenger = _challenger(client, model, model_version)
        champion = registry.find_version(client, model, CHAMPION)
        test = challenger.dataset.test
        mine = measure(client, challenger, test)
        stands = champion is not None and champion.number == challenger.number
        theirs = measure(client, champion, test) if champion and not stands else None
        if stands:
            verdict = policy.Verdict(promoted=False, reason=f"version {challenger.number} already is the champion")
        elif model_version is None and challenger.tags.get(ROLLED_BACK_TAG):
            verdict = policy.Verdict(
                promoted=False, reason=f"version {challenger.number} was rolled back: name it to promote it again"
            )
        else:
            verdict = policy.judge(mine["f1_weighted"], theirs["f1_weighted"] if theirs else None, threshold)
        previous = challenger.tags.get(PREVIOUS_TAG) or None if stands else champion.number if champion else None
        result = PromotionResult(
            use_case=use_case,
            promoted=verdict.promoted,
            reason=verdict.reason,
            challenger_version=challenger.number,
            challenger_metrics=mine,
            champion_version=challenger.number if verdict.promoted or stands else previous,
            previous_champion_version=previous,
            previous_champion_metrics=theirs,
            threshold=threshold,
            test_version=challenger.dataset.test_version,
            test_rows=test.rows,
            mlflow_url=_version_url(settings, challenger),
        )
        if not stands:
            registry.tag(client, challenger, _decision_tags(result))
        if verdict.promoted:
            registry.give_alias(client, challenger, CHAMPION)
        return result


@task(**NETWORK)
def give_back(settings: Settings, use_case: str, threshold: float) -> PromotionResult:
    """Give the alias back to the champion before, and write so on both versions.

    Loads no model, so that it works when the champion's is what is broken; the numbers are those of its promotion.
    """
    with exclusive(open_catalogue(settings.database_url), f"promotion/{use_case}"):
        client = registry.connect(settings.mlflow_tracking_uri)
        model = use_cases.get(use_case).model_name
        leaving = registry.find_version(client, model, CHAMPION)
        if leaving is None:
            raise RegistryError(f"model {model!r} has no champion to roll back: promote a version first")
        if not leaving.tags.get(PREVIOUS_TAG):
            raise RegistryError(f"version {leaving.number} of {model!r} had no champion before it: promote another one")
        returning = registry.get_version(client, model, leaving.tags[PREVIOUS_TAG])
        moment = datetime.now(UTC).isoformat(timespec="seconds")
        reason = f"rolled back from version {leaving.number} to version {returning.number}"
        registry.tag(client, leaving, {ROLLED_BACK_TAG: moment, "decision": "rolled back", "decision_reason": reason})
        registry.tag(client, returning, {"decision": "restored", "decision_reason": reason, "decided_at": moment})
        registry.give_alias(client, returning, CHAMPION)
        return PromotionResult(
            use_case=use_case,
            promoted=False,
            reason=reason,
            challenger_version=leaving.number,
            challenger_metrics=_recorded_metrics(leaving),
            champion_version=returning.number,
            previous_champion_version=leaving.number,
            previous_champion_metrics=_recorded_metrics(leaving),
            threshold=threshold,
            test_version=leaving.dataset.test_version,
            test_rows=leaving.dataset.test.rows,
            rolled_back=True,
            mlflow_url=_version_url(settings, returning),
        )


def measure(client: MlflowClient, version: Version, test: FileRef) -> dict[str, float]:
    """The version's metrics on the frozen test set, whose checksum is verified."""
    from flows.adapters.datasets import read_test
    from flows.core import models

    rows = read_test(test)
    predicted = models.predict(registry.load_model(client, version), rows["text"])
    return models.measure(rows["prdtypecode"], predicted["predicted_class"])


def _challenger(client: MlflowClient, model: str, number: str | None) -> Version:
    if number is not None:
        return registry.get_version(client, model, number)
    if found := registry.find_version(client, model, CHALLENGER):
        return found
    raise RegistryError(f"model {model!r} has no challenger: run training-pipeline first")


def _decision_tags(result: PromotionResult) -> dict[str, Any]:
    theirs = result.previous_champion_metrics
    return {
        "decision": "promoted" if result.promoted else "not promoted",
        "decision_reason": result.reason,
        "decided_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "decision_threshold": result.threshold,
        "decision_test_version": result.test_version,
        "decision_f1_weighted": f"{result.challenger_metrics['f1_weighted']:.6f}",
        "decision_f1_macro": f"{result.challenger_metrics['f1_macro']:.6f}",
        "decision_champion_version": result.previous_champion_version,
        "decision_champion_f1_weighted": f"{theirs['f1_weighted']:.6f}" if theirs else None,
        **({PREVIOUS_TAG: result.previous_champion_version, ROLLED_BACK_TAG: None} if result.promoted else {}),
    }


def _recorded_metrics(version: Version) -> dict[str, float]:
    tags: Mapping[str, str] = version.tags
    return {name: float(tags[name]) for name in ("f1_weighted", "f1_macro", "accuracy") if name in tags}


def _version_url(settings: Settings, version: Version) -> str | None:
    if settings.mlflow_ui_url is None:
        return None
    return f"{settings.mlflow_ui_url.rstrip('/')}/#/models/{version.model}/versions/{version.number}"


if __name__ == "__main__":
    from flows.command_line import run

    run(promotion)
