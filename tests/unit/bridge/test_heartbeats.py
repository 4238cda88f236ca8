"""When a run that says RUNNING counts as silent."""

from datetime import UTC, datetime, timedelta

from bridge.heartbeats import silent_seconds

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


def beats(*seconds_ago: float) -> list[datetime]:
    return [NOW - timedelta(seconds=seconds) for seconds in seconds_ago]


def test_a_run_is_silent_after_three_heartbeats_at_its_own_pace():
    assert silent_seconds(beats(80, 110), NOW) is None
    assert silent_seconds(beats(100, 130), NOW) == 100
    assert silent_seconds(beats(500, 680), NOW) is None
    assert silent_seconds(beats(600, 780), NOW) == 600


def test_after_a_single_heartbeat_prefects_usual_pace_is_waited_for():
    assert silent_seconds(beats(500), NOW) is None
    assert silent_seconds(beats(600), NOW) == 600


def test_a_retry_in_place_begins_anew_and_is_no_faster_pace():
    assert silent_seconds(beats(60, 61), NOW) is None


def test_of_a_run_that_sends_none_nothing_can_be_told():
    assert silent_seconds([], NOW) is None
