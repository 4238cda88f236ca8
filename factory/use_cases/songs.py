"""Songs: their genre, energy and popularity, which are alike, and which sound like one. Five models of one table.

Columns are those in which Spotify's tables of tracks are passed on; without a file the songs are simulated.
"""

from factory.use_cases.columns import NO, YES, Column
from factory.use_cases.sources import Entities, Group, Sample
from factory.use_cases.tasks import Clusters, Multiclass, Neighbours, Regression
from factory.use_cases.use_case import Drift, Gate, Model, UseCase

SOUND = ("danceability", "loudness", "speechiness", "acousticness", "instrumentalness", "liveness", "valence", "tempo")
"""What is heard in a song, as numbers."""


BOOSTING = ("boosting-regression", "boosting-large-regression")
"""Loudness and silence bend what follows from them: a line never wins."""


def _shares(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name, "number", nullable=True, least=0, most=1) for name in names)


TRACKS = Entities(
    table="songs",
    key="track_id",
    sample=Sample("factory.sources.simulated_songs", "songs", simulated=True),
    # an artist is recognised by his sound: no song of one stands on both sides
    group=Group("artists", separator=";"),
    first_counts=True,  # files list a song once for each of its genres
    columns=(
        # who and what
        Column("artists", "text", nullable=True, also=("track_artist",)),
        Column("album_name", "text", nullable=True, also=("track_album_name",)),
        Column("track_name", "text", nullable=True),
        Column("album_release_date", "moment", nullable=True, also=("track_album_release_date",)),
        Column("track_genre", "category", nullable=True, also=("playlist_genre", "genre")),
        Column("popularity", "number", nullable=True, least=0, most=100, also=("track_popularity",)),
        Column("explicit", "flag", nullable=True, values=(YES, NO)),
        # how it sounds
        Column("duration_ms", "number", nullable=True, least=0),
        Column("loudness", "number", nullable=True, least=-100, most=20),
        Column("tempo", "number", nullable=True, least=0),
        *_shares("danceability", "energy", "speechiness", "acousticness", "instrumentalness", "liveness", "valence"),
        Column("key", "category", nullable=True),
        Column("mode", "flag", nullable=True, values=(YES, NO)),
        Column("time_signature", "category", nullable=True),
    ),
    drift_columns=("danceability", "energy", "loudness", "valence", "tempo", "track_genre"),
)

SONGS = UseCase(
    name="songs",
    title="Songs",
    dag_id="weekly_songs",
    source=TRACKS,
    models=(
        Model(
            name="songs-genre",
            title="genre",
            task=Multiclass(target="track_genre"),
            candidates=("logistic-table", "boosting-large-table"),  # small trees need many songs of each genre, too
            gate=Gate(floor=0.35, largest_class_fall=0.15, largest_calibration_error=0.15),
        ),
        Model(
            name="songs-clusters",
            title="clusters",
            task=Clusters(most=8),
            features=("energy", *SOUND),
            candidates=("k-means-table",),  # a mixture's clusters lie within each other: it never wins
            gate=Gate(floor=0.05, smallest_cluster=0.02),
        ),
        Model(
            name="songs-energy",
            title="energy",
            task=Regression(target="energy"),
            candidates=BOOSTING,
            gate=Gate(floor=0.5, largest_part_fall=0.25),
        ),
        Model(
            name="songs-popularity",
            title="popularity",
            task=Regression(target="popularity"),
            candidates=BOOSTING,
            gate=Gate(floor=0.03, largest_part_fall=0.25),
        ),
        Model(
            name="songs-similar",
            title="similar songs",
            task=Neighbours(k=10, relevant_by="track_genre"),
            features=("energy", *SOUND),
            gate=Gate(floor=0.2, least_recall=0.95),
        ),
    ),
    schedule="5 8 * * 1",
    drift=Drift(min_samples=40),
    demo_periods=2,
    purpose=(
        "Sorts new songs: under which genre, how lively, how popular they may become, which are alike and what to play "
        "next. It is not meant to decide what an artist is paid, or whose songs are played."
    ),
    limits=(
        "Songs that the installation brings are simulated, not real: what models reach there says nothing of music.",
        "Models are judged by artists whom they have never met; of those whom they know they tell more.",
        "Popularity is mostly luck and fame: a song's sound and title explain little of it.",
        "A song that is listed under several genres counts under the first one of the file.",
    ),
)
