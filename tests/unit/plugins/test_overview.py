"""What the overview makes of weeks, decisions, checks and runs, without anybody being asked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from bridge.prefect_api.records import FlowRun, Worker
from factory.contracts import DatasetRef, FileRef, PromotionResult
from factory.records.decisions import Decision
from factory.records.drift_checks import DriftCheck
from factory.records.ledger import Entry
from factory.use_cases import get_model
from plugins.control_page.airflow_reader import LastDagRun
from plugins.control_page.factory_reader import ModelFacts
from plugins.control_page.overview import attention, challenger_of, champion_of, drift_view, model_row
from plugins.control_page.promotion_views import decision_view, standing
from plugins.control_page.routes.overview import is_of
from plugins.control_page.run_views import RunView, Starter
from plugins.control_page.stuck import StuckRuns

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
FILE = {"uri": "file:///none", "sha256": "0" * 64, "rows": 9}


def decision(number: int, **told: Any) -> Decision:
    """Version `number` was judged and, unless told otherwise, promoted over the one before."""
    result = {
        "use_case": "products",
        "promoted": True,
        "reason": "why",
        "rule": "floor",
        "challenger_version": str(number),
        "challenger_metrics": {"f1_weighted": round(0.8 + number / 100, 2), "f1_macro": 0.7},
        "champion_version": str(number),
        "previous_champion_version": str(number - 1) if number > 1 else None,
        "previous_champion_metrics": {"f1_weighted": round(0.79 + number / 100, 2)} if number > 1 else None,
        "threshold": 0.75,
        "test_version": "v1",
        "test_rows": 1100,
        **told,
    }
    more = {"train_rows": 8, "arrivals": 1, "classes": 2, "test": FileRef(**FILE), "test_version": "v1"}
    dataset = DatasetRef(**FILE, use_case="products", week=number, as_of=NOW, **more)
    return Decision(decision_id=str(number), decided_at=NOW, dataset=dataset, result=PromotionResult(**result))


def drift_check(score: float, *, alarm: bool = False, level: str = "stable") -> DriftCheck:
    told = {"model": "products", "until": NOW, "looked_at": NOW, "model_version": "1", "samples": 200}
    return DriftCheck(**told, level=level, drift_score=score, alarm=alarm, columns={})  # type: ignore[arg-type]


def view(name: str, state: str, deployment: str = "train/products") -> RunView:
    return RunView(
        id=name,
        name=name,
        deployment=deployment,
        state=state,
        tone="bad",
        starter=Starter("Prefect", "by hand"),
        began=NOW,
        due=NOW,
        ended=NOW,
        seconds=1.0,
        is_live=False,
        message="",
    )


def week(number: int, status: Any, *findings: str) -> Entry:
    return Entry(f"products/week-{number}/r1", number, 1, 0.4, status, NOW, NOW, 900, None, findings)


KEPT = {"promoted": False, "champion_version": "2", "previous_champion_version": "2"}


def test_the_champion_is_the_last_decisions_with_the_numbers_by_which_it_won() -> None:
    won = decision(2, intervals={"f1_weighted": (0.8, 0.84)})
    found = champion_of([decision(3, **KEPT), won, decision(1)])
    assert found is not None
    assert (found.version, found.metric, found.value, found.low, found.high) == ("2", "weighted F1", 0.82, 0.8, 0.84)
    challenger = challenger_of([decision(3, **KEPT), won])
    assert challenger is not None
    assert (challenger.version, challenger.value) == ("3", 0.83)
    assert challenger_of([won]) is None


def test_a_champion_whose_own_decision_is_long_past_has_the_numbers_that_a_challenger_met() -> None:
    found = champion_of([decision(3, **KEPT)])
    assert found is not None
    assert (found.version, found.value, found.low) == ("2", 0.82, None)
    assert champion_of([]) is None


def test_a_rollback_would_lead_to_the_champion_before() -> None:
    assert standing([decision(3, **KEPT), decision(2), decision(1)]) == ("2", "1")
    assert standing([decision(1)]) == ("1", None)
    assert standing([]) == (None, None)


def test_a_decision_is_told_with_its_numbers_and_its_cost() -> None:
    told = decision_view(decision(2, costs={"size_bytes": 2_000_000, "p95_ms": 12.34}, card_url="http://m/card"))
    assert [row.words for row in told.metrics] == ["Weighted F1", "Macro F1"]
    assert told.costs == (("Size", "2.0 MB"), ("Answer (p95)", "12.3 ms"))
    assert told.links == {"Model card": "http://m/card"}
    assert decision_view(decision(2, card_url="javascript:x")).links == {}


def test_each_metric_is_told_with_its_own_digits() -> None:
    told = decision_view(decision(2, challenger_metrics={"silhouette": 0.2345, "clusters": 3.0}))
    assert [(row.words, row.digits) for row in told.metrics] == [("Silhouette", 4), ("Number of clusters", 0)]


def test_drift_is_a_level_and_a_line_that_fits_its_frame() -> None:
    drawn = drift_view([drift_check(0.0), drift_check(0.5), drift_check(1.0, level="critical")])
    assert drawn is not None
    assert (drawn.level, drawn.tone, drawn.points) == ("critical", "bad", "0.0,28.0 60.0,14.0 120.0,0.0")
    one = drift_view([drift_check(0.0)])
    assert one is not None
    assert one.points == "0.0,28.0 120.0,28.0"
    assert drift_view([]) is None


def test_a_row_takes_the_newest_of_everything_and_the_next_of_both_sides() -> None:
    facts = ModelFacts([week(1, "accepted"), week(2, "cut")], [decision(1)], [drift_check(0.1)])
    ran = LastDagRun("weekly", "r", "failed", NOW, NOW, NOW + timedelta(days=3), paused=False)
    runs = [view("newest", "Completed"), view("older", "Failed")]
    row = model_row(get_model("products"), facts, [ran], runs, [NOW + timedelta(days=1)])
    assert row.week is not None
    assert (row.week.week, row.airflow_tone, row.next_due) == (2, "bad", NOW + timedelta(days=1))
    assert row.prefect is not None
    assert row.prefect.name == "newest"


def test_of_several_models_each_has_the_runs_that_name_it() -> None:
    def ran(**parameters: str) -> FlowRun:
        return FlowRun.parse({"id": "r", "name": "fox", "parameters": parameters})

    genre, energy = get_model("songs-genre"), get_model("songs-energy")
    assert [is_of(ran(model="songs-genre"), model) for model in (genre, energy)] == [True, False]
    assert not is_of(ran(), genre)
    assert is_of(ran(), get_model("products"))


def test_a_run_that_some_models_failed_in_is_told_in_yellow_by_model() -> None:
    ran = LastDagRun(
        "weekly", "r", "success", NOW, NOW, None, paused=False, failed_models={"products": "train: no space"}
    )
    row = model_row(get_model("products"), ModelFacts(simulated="simulated songs, not real"), [ran], [], [])
    assert (row.airflow_state, row.airflow_tone) == ("partial success", "warn")
    assert row.simulated == "simulated songs, not real"

    (told,) = attention([row], {"products": ModelFacts()}, [], [], {})

    assert (told.tone, told.airflow_path) == ("warn", "/dags/weekly/runs/r")
    assert told.words == "products failed in the last run of weekly; its other models got through."
    assert told.why == "train: no space"


def test_what_needs_attention_is_told_once_each_and_nothing_where_all_is_well() -> None:
    facts = ModelFacts(
        [week(2, "rejected", "half of it is missing")], [], [drift_check(0.6, alarm=True, level="alert")]
    )
    ran = LastDagRun("weekly", "r", "failed", NOW, NOW, None, paused=False)
    row = model_row(get_model("products"), facts, [ran], [], [])
    troubled = [view("a", "Failed"), view("b", "Failed")]
    stuck = [
        StuckRuns("train/products", "Submitting", "stuck in Submitting", (view("d", "Submitting"),), NOW, "Why."),
        StuckRuns("train/products", "Late", "late", (view("c", "Late"),), NOW - timedelta(days=3), "No worker."),
        StuckRuns("", "Late", "late", (view("e", "Late"), view("f", "Late")), None, ""),
    ]
    workers = {"gpus": [Worker("w", "OFFLINE", NOW)], "models": [Worker("w", "ONLINE", NOW)]}
    found = attention([row], {"products": facts}, troubled, stuck, workers)
    told = [each.words for each in found]
    assert told[0].startswith("No worker is online on pool gpus")
    assert told[1:] == [
        "c of train/products is late.",
        "d of train/products is stuck in Submitting.",
        "2 runs are late.",
        "2 runs of train/products: failed in the last 24 hours.",
        "The last run of weekly failed in Airflow.",
        "Week 2 of products was rejected: half of it is missing",
        "products drifts: alert, score 0.60.",
    ]
    assert (found[1].why, found[1].since, found[1].path) == ("No worker.", NOW - timedelta(days=3), "runs/c")
    well = ModelFacts()
    assert attention([model_row(get_model("products"), well, [], [], [])], {"products": well}, [], [], {}) == []
