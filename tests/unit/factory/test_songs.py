"""Songs: a file of tracks as it is passed on, artists who stand on one side, and a sample that says what it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import Engine

from factory.catalogue.entities import load_entities, read_keys
from factory.settings import Settings
from factory.snapshots.cutting import cut_week
from factory.snapshots.store import read_frame
from factory.snapshots.weeks import start_of
from factory.sources.arrivals import load_rows
from factory.sources.tables import Rows, TableMapping, dated, read_sample, read_table
from factory.use_cases import get, models_of
from factory.use_cases.sources import Entities
from factory.use_cases.use_case import Declared

SOURCE = get("songs").entities
HEADER = "track_id,artists,album_name,track_name,popularity,duration_ms,explicit,energy,mode,tempo,track_genre"


def test_a_file_lists_a_song_once_a_genre_and_the_first_one_counts(tmp_path: Path) -> None:
    file = tmp_path / "tracks.csv"
    file.write_text(
        f"{HEADER}\n"
        "a1,Ka;Ro,Home,River,73,230666,False,0.46,0,87.9,acoustic\n"
        "b2,Mi,Ash,Throne,12,180000,True,0.91,1,150,metal\n"
        "a1,Ka;Ro,Home,River,73,230666,False,0.46,0,87.9,pop\n"
    )
    said: list[str] = []

    rows = read_table(file, SOURCE, TableMapping(SOURCE.key, None), said.append)

    assert rows.states[["track_id", "track_genre", "explicit", "mode", "energy"]].values.tolist() == [
        ["a1", "acoustic", "no", "no", 0.46],
        ["b2", "metal", "yes", "yes", 0.91],
    ]
    assert "named again, and left out but for the first row of each: 1 rows" in said


def test_a_file_may_call_columns_otherwise(tmp_path: Path) -> None:
    file = tmp_path / "tracks.csv"
    file.write_text(
        "track_id,track_artist,track_popularity,track_album_release_date,playlist_genre\na1,Ka,66,2019-06-14,pop\n"
    )

    rows = read_table(file, SOURCE, TableMapping(SOURCE.key, None), lambda _: None)

    first = rows.states.iloc[0]
    assert first[["artists", "popularity", "album_release_date", "track_genre"]].tolist() == [
        "Ka",
        66.0,
        "2019-06-14",
        "pop",
    ]


def test_no_artist_stands_on_both_sides_not_even_as_a_guest(engine: Engine, settings: Settings) -> None:
    rows = dated(read_sample(SOURCE, None, lambda _: None), SOURCE, settings.weeks, None)
    assert SOURCE.sample is not None
    load_entities(engine, SOURCE, rows.states, rows.outcomes, origin=SOURCE.sample.origin)

    cut = cut_week(settings, "songs", as_of=start_of(2, settings.weeks.epoch), week=2)

    week, test = read_frame(cut), read_frame(cut.test)
    trained = artists(week[week["side"] == "train"])
    assert trained
    assert artists(test)
    assert not trained & artists(test)
    assert (week["side"] == "held_out").any(), "songs of artists from both sides"
    assert week.groupby(week["artists"].str.split(";").str[0])["group"].nunique().max() == 1


def test_the_sample_says_that_it_is_simulated_and_is_always_the_same() -> None:
    first, second = (read_sample(SOURCE, None, lambda _: None).states for _ in range(2))

    assert SOURCE.sample is not None
    assert SOURCE.sample.origin == "simulated songs, not real"
    pd.testing.assert_frame_equal(first, second)


def artists(rows: pd.DataFrame) -> set[str]:
    """Everybody who is named in the rows."""
    return set(rows["artists"].str.split(";").explode())


def test_songs_may_take_the_place_of_others_and_stand_in_a_table_besides(engine: Engine, settings: Settings) -> None:
    whole = read_sample(SOURCE, None, lambda _: None)
    first, second = (Rows(whole.states.iloc[part], whole.outcomes) for part in (slice(0, 300), slice(200, 400)))
    told: list[str] = []

    load_rows(settings, "songs", first, "first", told.append)
    new = load_rows(settings, "songs", second, "second", told.append, append=True, table="ours", empty_first=True)

    with engine.connect() as connection:
        held = {name: read_keys(connection, replace(SOURCE, table=name)) for name in ("songs", "ours")}
    assert new == 200
    assert held["songs"] == held["ours"] == set(second.states["track_id"])
    assert told[-1] == "second: 200 rows loaded into 'songs', 0 were there already"


@pytest.mark.parametrize("declared", models_of("songs"), ids=lambda declared: declared.name)
def test_what_is_watched_of_a_model_is_what_it_learns_from(declared: Declared) -> None:
    source = declared.source

    assert isinstance(source, Entities)
    assert len(source.drift_columns) >= 4
    assert set(source.drift_columns) <= {column.name for column in source.features}
    assert declared.model.task.target not in source.drift_columns
