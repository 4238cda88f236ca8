"""Daily bars from a file to a snapshot: what comes in, what a bar is shown with, and that nothing later is in it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as settings_of
from hypothesis import strategies as st
from typer.testing import CliRunner

from factory import use_cases
from factory.catalogue.database import open_catalogue
from factory.catalogue.entities import load_entities, read_outcomes, read_states
from factory.cli import app
from factory.errors import CatalogueEmpty, SourceUnreadable, WeekRejected
from factory.quality.checking import check_week
from factory.quality.entity_inspection import find_entity_faults
from factory.series.bars import CANDLE, DAY_MS, read_bars
from factory.series.measures import MEASURES, RISES, derive
from factory.settings import Settings
from factory.snapshots.cutting import cut_week
from factory.snapshots.store import read_frame
from factory.use_cases.sources import Series

MARKET = use_cases.get("market")
SOURCE = MARKET.entities
assert isinstance(SOURCE, Series)
FEATURES = [column.name for column in SOURCE.features]
BEGIN = datetime(2012, 1, 2, tzinfo=UTC)
LATER = datetime(2026, 1, 1, tzinfo=UTC)


def candles(days: int, *, seed: int = 1, begin: datetime = BEGIN) -> pd.DataFrame:
    """A random walk on the days of the week, none at weekends."""
    random, moments = np.random.default_rng(seed), pd.bdate_range(begin, periods=days, tz="UTC")
    close = 100 * np.exp(np.cumsum(random.normal(0, 0.01, days)))
    opened = close * np.exp(random.normal(0, 0.005, days))
    spread = np.exp(np.abs(random.normal(0, 0.005, days)))
    return pd.DataFrame(
        {
            "timestamp": moments.as_unit("ms").asi8,
            "open": opened,
            "high": np.maximum(opened, close) * spread,
            "low": np.minimum(opened, close) / spread,
            "close": close,
            "volume": random.integers(1_000, 9_000, days).astype(float),
        }
    )


def bars(days: int, *, symbol: str = "AAA", seed: int = 1) -> pd.DataFrame:
    return read_bars(candles(days, seed=seed), SOURCE, symbol, "here", now=LATER).states


@settings_of(max_examples=20, deadline=None, derandomize=True)
@given(st.integers(61, 118), st.sampled_from(["open", "high", "low", "close", "volume"]), st.floats(0.1, 10))
def test_whoever_changes_the_future_changes_no_feature_of_the_past(place: int, name: str, factor: float) -> None:
    known = pd.concat([bars(120), bars(120, symbol="BBB", seed=2)], ignore_index=True)
    changed = known.copy()
    later = (changed["symbol"] == "AAA") & (changed.index >= place)
    changed.loc[later, name] *= factor

    before, after = derive(known, SOURCE), derive(changed, SOURCE)

    untouched = ~before.index.isin(changed.index[later])
    pd.testing.assert_frame_equal(before.loc[untouched, FEATURES], after.loc[untouched, FEATURES])
    cut_off = derive(known[~later], SOURCE)
    pd.testing.assert_frame_equal(cut_off[FEATURES], before.loc[untouched, FEATURES])


def test_every_cut_shows_a_bar_as_the_first_one_did_but_for_what_became_of_it() -> None:
    known = bars(90)
    whole = derive(known, SOURCE)
    for end in range(61, 90):
        shown = derive(known.iloc[:end], SOURCE)
        pd.testing.assert_frame_equal(shown[FEATURES], whole.iloc[: len(shown)][FEATURES])
        assert shown[RISES].isna().tolist() == [False] * (len(shown) - 1) + [True]


def test_measures_by_hand() -> None:
    rows = pd.DataFrame(
        {
            "high": [11.0, 21.0, 31.0],
            "low": [9.0, 19.0, 29.0],
            "close": [10.0, 20.0, 30.0],
            "volume": [0.0, np.e - 1, np.e - 1],
        }
    )

    found = {name: measure(rows, 2).tolist() for name, measure in MEASURES.items()}

    assert found["return"][2] == pytest.approx(30 / 10 - 1)
    assert found["trend"][2] == pytest.approx(30 / 25 - 1)
    assert found["range"][2] == pytest.approx((2 / 20 + 2 / 30) / 2)
    assert found["place"][2] == pytest.approx((30 - 19) / (31 - 19))
    assert found["volume"][1] == pytest.approx(0.5)
    assert found["volatility"][2] == pytest.approx(abs(1.0 - 0.5) / np.sqrt(2))
    assert MEASURES["next return"](rows, 1).tolist()[:2] == pytest.approx([1.0, 0.5])
    assert all(np.isnan(values[0]) for name, values in found.items() if name not in ("next return",))


def test_a_weekend_is_no_gap_that_an_outcome_waits_for() -> None:
    shown = derive(bars(70), SOURCE).set_index("bar")
    friday, monday = "AAA@2012-03-30", "AAA@2012-04-02"

    rises = bars(70).set_index("bar")["close"][[friday, monday]].diff().iloc[1] > 0

    assert shown.loc[friday, RISES] == ("yes" if rises else "no")


def test_disorder_repetition_and_a_bar_that_is_not_over_are_no_harm() -> None:
    given_rows = candles(10)
    now = datetime.fromtimestamp(int(given_rows["timestamp"].iloc[-1]) / 1000, UTC) + timedelta(hours=9)
    shuffled = pd.concat([given_rows, given_rows.head(3)]).sample(frac=1, random_state=3)

    found = read_bars(shuffled, SOURCE, "AAA", "here", now=now)

    expected = read_bars(given_rows.iloc[:-1], SOURCE, "AAA", "here", now=LATER)
    pd.testing.assert_frame_equal(found.states, expected.states)
    assert found.remarks == (
        "1 not over yet, left out",
        "3 came twice",
        "2 days without a bar, weekends among them; the most in a row 2, from 2012-01-07 on",
    )
    assert found.states["changed_at"].iloc[0] == datetime(2012, 1, 2, 23, 59, 59, 999_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"high": 1.0},
            r"1 candles cannot be: prices are above 0, low is the lowest and high the highest; the first: ",
        ),
        ({"low": -1.0}, "1 candles cannot be"),
        ({"close": np.nan}, "1 candles hold something else than numbers"),
        ({"timestamp": 1_325_462_400_001}, "1 candles begin at another time than midnight in UTC"),
        ({"timestamp": int(BEGIN.timestamp() * 1000) + DAY_MS}, "2 candles say two things of one day"),
    ],
)
def test_a_candle_that_cannot_be_is_refused_with_its_row(change: dict[str, float], said: str) -> None:
    rows = candles(5)
    for name, value in change.items():
        rows.loc[0, name] = value
    with pytest.raises(SourceUnreadable, match=f"^here: {said}"):
        read_bars(rows, SOURCE, "AAA", "here", now=LATER)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    found = Settings(
        database_url=f"sqlite:///{tmp_path / 'catalogue.sqlite'}",
        snapshot_uri=(tmp_path / "snapshots").as_uri(),
        mlflow_tracking_uri="",
    )
    monkeypatch.setenv("DATABASE_URL", found.database_url)
    return found


def test_a_day_is_cut_on_what_was_over_and_says_nothing_of_what_followed(settings: Settings) -> None:
    days = 1_300
    rows = bars(days)
    load_entities(open_catalogue(settings.database_url), SOURCE, rows, pd.DataFrame(), origin="here")
    friday = MARKET.clock.number(rows["changed_at"].iloc[days - 1])  # the last bar, a Friday

    cut = check_week(settings, cut_week(settings, "market", as_of=MARKET.clock.end(friday - 2)))
    sunday = check_week(settings, cut_week(settings, "market", as_of=MARKET.clock.end(friday + 2)))

    shown, whole = read_frame(cut), read_frame(sunday)
    assert (whole["side"] == "train").any()
    assert shown["moment"].max() == rows["changed_at"].iloc[days - 3]
    assert shown[["target", "next_return"]].isna().all(axis=1).sum() == 1
    both = whole[whole["entity_id"].isin(shown["entity_id"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(shown[FEATURES], both[FEATURES])
    train, test = whole[whole["side"] == "train"], whole[whole["side"] == "test"]
    assert test["moment"].min() - train["moment"].max() > timedelta(days=14)
    assert whole["moment"].max() - test["moment"].max() >= timedelta(days=4), "a week may pass before the next bar"


def test_bars_that_end_long_before_the_day_stop_it_and_a_gap_between_them_is_told(settings: Settings) -> None:
    rows = bars(1_300)
    held = rows.drop(index=range(700, 710)).reset_index(drop=True)
    load_entities(open_catalogue(settings.database_url), SOURCE, held, pd.DataFrame(), origin="here")
    last = MARKET.clock.number(rows["changed_at"].iloc[-1])

    in_time = check_week(settings, cut_week(settings, "market", as_of=MARKET.clock.end(last + 6)))
    told = {fault.name: fault for fault in find_entity_faults(in_time, None)[0]}
    assert "1 bars are followed by none for more than 7 days (such as " in told["gaps"].sentence
    assert told["gaps"].severity == "noted"
    with pytest.raises(WeekRejected, match=r"no bar after 'AAA@2016-12-23' for 8 days: collect newer ones"):
        check_week(settings, cut_week(settings, "market", as_of=MARKET.clock.end(last + 8)))


def test_outcomes_are_those_of_the_bars_that_were_over(settings: Settings) -> None:
    engine, rows = open_catalogue(settings.database_url), bars(100)
    load_entities(engine, SOURCE, rows, pd.DataFrame(), origin="here")
    with engine.connect() as connection:
        then = read_outcomes(connection, SOURCE, rows["changed_at"].iloc[80])
        now = read_outcomes(connection, SOURCE)
        states = read_states(connection, SOURCE, rows["changed_at"].iloc[80])
    assert len(now) - len(then) == 19
    assert then.to_dict() == {name: now[name] for name in then.index}
    assert states["outcome"].isna().sum() == 1


def test_candles_are_loaded_by_command_and_what_stands_is_left_as_it_is(settings: Settings, tmp_path: Path) -> None:
    with_header, without = tmp_path / "btc.csv", tmp_path / "plain.csv.gz"
    candles(40).head(30).to_csv(with_header, index=False)
    candles(40).to_csv(without, index=False, header=False, columns=list(CANDLE))
    command = ["load", "candles", "--symbol", "BTC/USDT", "--source", "mine"]

    first = CliRunner().invoke(app, [*command, str(with_header)])
    second = CliRunner().invoke(app, [*command, str(without)])
    refused = CliRunner().invoke(app, ["load", "candles", "--symbol", "A", "--use-case", "churn", str(with_header)])

    assert "mine: 30 bars of BTC/USDT loaded into 'candles', 0 were there already" in first.output
    assert "mine: 10 bars of BTC/USDT loaded into 'candles', 30 were there already" in second.output
    assert isinstance(refused.exception, SourceUnreadable)


def test_the_sample_is_the_index_that_arch_ships(settings: Settings) -> None:
    said = CliRunner().invoke(app, ["load", "sample", "--use-case", "market"]).output
    assert "the sample sp500: 5,031 bars of SP500 loaded into 'candles', 0 were there already" in said


def test_without_a_bar_nothing_is_cut(settings: Settings) -> None:
    with pytest.raises(CatalogueEmpty, match="python -m factory load sample"):
        cut_week(settings, "market", as_of=datetime(2018, 1, 2, tzinfo=UTC))
