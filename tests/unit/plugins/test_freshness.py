"""What is said of a page's age, and when it is looked at again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from plugins.control_page.freshness import Freshness, Seen

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
FRESH = Seen("runs", NOW)
OLD = Seen("runs", NOW - timedelta(minutes=9), is_old=True, is_slow=True)
LOADING: Seen[str] = Seen()
AWAY = Seen("runs", NOW - timedelta(minutes=1), "nobody is there", is_away=True, is_old=True)


def test_a_page_is_as_old_as_its_oldest_part() -> None:
    assert Freshness.of(FRESH, FRESH) == Freshness(read_at=NOW)
    assert Freshness.of(FRESH, OLD).read_at == OLD.read_at
    assert Freshness.of(FRESH, OLD).is_old
    assert Freshness.of(FRESH, LOADING).is_loading
    assert Freshness.of() == Freshness()


def test_trouble_is_told_once_and_is_no_loading() -> None:
    fresh = Freshness.of(FRESH, LOADING, AWAY)
    assert (fresh.trouble, fresh.is_away, fresh.is_loading) == ("nobody is there", True, False)


def test_a_page_is_looked_at_again_soon_where_more_is_expected_and_in_no_haste_where_prefect_is_in_need() -> None:
    pauses = [Freshness.of(part).look_again_seconds(10) for part in (FRESH, LOADING, OLD, AWAY)]
    assert pauses[0] == pauses[3] == 10
    assert pauses[1] < pauses[2] < 10
    assert Freshness.of(AWAY).look_again_seconds(1) >= 3
