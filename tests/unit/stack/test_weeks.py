"""Which weeks a demo runs, and the line it writes of each."""

from dataclasses import replace
from datetime import UTC, date, datetime

from rich.console import Console

from factory.use_cases import get
from factory.use_cases.clock import Month
from stack.airflow_api import NOT_MAPPED, DagRun, TaskInstance, last_error
from stack.flow_runs import SeenFlowRun
from stack.screen import demo_screen
from stack.weeks import report_period, report_week, reports_table, run_moment, weeks_to_run

MEMBERS = ((0, "songs-energy", "success"), (1, "songs-genre", "deferred"))
NOW = datetime(2026, 11, 21, tzinfo=UTC)
PRODUCTS = get("products")
MONTHLY = replace(get("churn"), clock=Month(first=date(2016, 10, 1)), demo_begins="2017-03")

DATASET = {
    "uri": "file:///w/week.parquet",
    "sha256": "00",
    "rows": 2244,
    "use_case": "products",
    "week": 2,
    "as_of": "2026-07-06T07:05:00Z",
    "train_rows": 1800,
    "arrivals": 170,
    "classes": 21,
    "test": {"uri": "file:///w/test.parquet", "sha256": "11", "rows": 1120},
    "test_version": "test/v1",
}
PROMOTION = {
    "use_case": "products",
    "promoted": True,
    "reason": "better",
    "rule": "gain",
    "challenger_version": "2",
    "challenger_metrics": {"f1_weighted": 0.8765, "f1_macro": 0.8123},
    "champion_version": "2",
    "previous_champion_version": "1",
    "previous_champion_metrics": {"f1_weighted": 0.8654, "f1_macro": 0.8012},
    "threshold": 0.75,
    "test_version": "test/v1",
    "test_rows": 1120,
}
MONITOR = {
    "status": "ok",
    "reason": "no drift",
    "drift_detected": False,
    "drift_score": 0.25,
    "threshold": 0.3,
    "retrained": False,
    "drift_metrics": {},
    "retrain_result": None,
    "notification": "none",
    "use_case": "products",
    "samples": 512,
}


def run(identity, week, state):
    return DagRun(f"run-{week}", state, identity.week_moment(week))


def test_the_first_demo_runs_weeks_one_to_three(identity):
    assert weeks_to_run(identity, PRODUCTS, [], 3, NOW) == [1, 2, 3]


def test_the_next_demo_goes_on_where_the_last_one_ended(identity):
    runs = [run(identity, week, "success") for week in (1, 2, 3)]

    assert weeks_to_run(identity, PRODUCTS, runs, 3, NOW) == [4, 5, 6]


def test_a_failed_week_is_run_again(identity):
    runs = [run(identity, 1, "success"), run(identity, 2, "failed")]

    assert weeks_to_run(identity, PRODUCTS, runs, 3, NOW) == [2, 3, 4]


def test_runs_of_other_dates_count_for_nothing(identity):
    assert weeks_to_run(identity, PRODUCTS, [DagRun("by-hand", "success", None)], 1, NOW) == [1]


def test_a_week_whose_monday_is_to_come_is_not_run(identity):
    runs = [run(identity, week, "success") for week in range(1, 21)]

    assert weeks_to_run(identity, PRODUCTS, runs, 3, NOW) == [21]


def test_months_are_run_once_they_are_over_from_where_the_use_case_says(identity):
    moment = run_moment(identity, MONTHLY, MONTHLY.clock.parse("2017-03"))
    runs = [DagRun("march", "success", moment)]

    assert moment == datetime(2017, 4, 1, 7, 5, tzinfo=UTC)
    assert [MONTHLY.clock.words(number) for number in weeks_to_run(identity, MONTHLY, runs, 2, NOW)] == [
        "2017-04",
        "2017-05",
    ]
    assert weeks_to_run(identity, MONTHLY, runs, 2, datetime(2017, 5, 1, 7, 6, tzinfo=UTC)) == [7]


def test_a_line_of_a_month_is_made_of_its_own_tasks():
    dataset = {**DATASET, "week": 6}
    report = report_week(MONTHLY, {"cut": dataset, "promote": PROMOTION, "monitor": None})

    assert report.period == "2017-03"


def test_the_table_tells_both_models_numbers_and_the_verdict():
    said = printed([report_week(PRODUCTS, {"cut_week": DATASET, "promote": PROMOTION, "monitor": MONITOR})])

    for words in ("2,244", "v2  0.8765 / 0.8123", "v1  0.8654 / 0.8012", "yes: better", "0.25 of 512 samples"):
        assert words in said


def test_a_first_week_has_no_champion_and_no_drift():
    first = {**PROMOTION, "previous_champion_version": None, "previous_champion_metrics": None}
    report = report_week(PRODUCTS, {"cut_week": DATASET, "promote": first, "monitor": None})

    assert report.champion is None
    assert report.drift == "not measured"


def test_each_of_several_models_has_a_line_and_one_that_failed_says_why():
    model = PRODUCTS.models[0]
    songs = replace(PRODUCTS, models=(replace(model, name="genre"), replace(model, name="energy")))
    outcome = {"use_case": "products", "models": ["genre", "energy"], "failed": {"energy": "train: no space left"}}
    results = {("cut_week", -1): DATASET, ("outcome", -1): outcome, ("promote", 0): PROMOTION, ("monitor", 0): MONITOR}
    reports = report_period(songs, lambda task, index=-1: results.get((task, index)))

    said = printed(reports, songs)
    for words in ("genre", "Weighted F1", "v2  0.8765", "v1  0.8654", "energy", "no: failed in train: no space left"):
        assert words in said


def test_a_monitor_that_skipped_says_why():
    skipped = {**MONITOR, "status": "skipped", "drift_score": None, "reason": "12 samples, 100 are needed"}

    assert report_week(PRODUCTS, {"cut_week": DATASET, "promote": PROMOTION, "monitor": skipped}).drift == (
        "skipped: 12 samples, 100 are needed"
    )


def test_in_a_pipe_each_change_is_one_line(capsys):
    behind = {("train", NOT_MAPPED): SeenFlowRun("quick-fox", "Running", "http://p/run")}
    with demo_screen(Console()) as screen:
        screen.show("week 4", [TaskInstance("train", "waiting", 0, None)], {})
        for _ in range(3):
            screen.show("week 4", [TaskInstance("train", "deferred", 1, 2.0)], behind)
        screen.show("week 4", [TaskInstance("train", "success", 2, 9.0)], behind)

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert "waiting for Prefect" in lines[0]
    assert "quick-fox Running" in lines[0]
    assert "success (attempt 2)" in lines[1]


def test_members_of_a_mapped_task_have_lines_of_their_own(capsys):
    members = [TaskInstance("train", state, 1, 2.0, index, name) for index, name, state in MEMBERS]
    behind = {("train", 1): SeenFlowRun("quick-fox", "Running", "http://p/run")}
    with demo_screen(Console()) as screen:
        for _ in range(3):
            screen.show("week 4", members, behind)

    first, second = capsys.readouterr().out.splitlines()
    assert first.split() == ["week", "4", "train", "songs-energy", "success"]
    assert "train songs-genre" in second
    assert "quick-fox Running" in second


def test_on_a_terminal_the_table_names_task_and_flow_run():
    console = Console(force_terminal=True, width=100, record=True)
    with demo_screen(console) as screen:
        behind = {("train", NOT_MAPPED): SeenFlowRun("quick-fox", "Failed", "http://p")}
        screen.show("week 4", [TaskInstance("train", "failed", 1, 3.0)], behind)

    said = console.export_text()
    assert "Week 4" in said
    assert "quick-fox" in said


def test_periods_are_shown_side_by_side_and_one_that_is_over_stays_as_it_was():
    console = Console(force_terminal=True, width=100, record=True)
    with demo_screen(console) as screen:
        screen.show("songs week 1", [TaskInstance("score", "success", 1, 3.0)], {})
        screen.show("deals 2017-06", [TaskInstance("train", "running", 1, 3.0)], {})
        screen.leave("songs week 1")
        left = console.export_text(clear=False)
        screen.show("deals 2017-06", [TaskInstance("monitor", "success", 1, 3.0)], {})

    assert "Songs week 1" in left
    said = console.export_text()
    assert said.count("Songs week 1") == left.count("Songs week 1")
    assert said.rindex("monitor") > said.rindex("score")


def test_a_tasks_error_is_its_last_exception():
    log = [
        {"event": "::group::Log message source details"},
        {"event": "Task failed", "level": "error", "error_detail": [{"exc_type": "Boom", "exc_value": "it broke"}]},
        {"event": "later words", "level": "info"},
    ]

    assert last_error(log) == "Boom: it broke"
    assert last_error([{"event": "bad", "level": "error"}, "plain text"]) == "bad"
    assert last_error([]) == "its log says nothing of an error"


def printed(reports, use_case=PRODUCTS, width=160):
    console = Console(width=width)
    with console.capture() as capture:
        console.print(reports_table(use_case, reports))
    return capture.get()
