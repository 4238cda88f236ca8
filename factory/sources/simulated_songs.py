"""Songs that are simulated, not real, in the layout in which Spotify's tables of tracks are passed on.

Owns how they come to be, so that models of them meet what they would meet in real ones: artists who keep to a genre and
a sound, genres that overlap, songs that are listed once a genre, guests, titles by the habits of a genre, and a
popularity that is mostly luck. Every genre, artist and title is made up. Knows nothing of the catalogue.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

SONGS, ARTISTS, SEED = 1_200, 300, 7
GUESTS, LISTED_AGAIN, OTHER_GENRE = 0.12, 0.08, 0.15
"""The shares of songs with a guest, of those that stand under a second genre, and of those unlike their artist's."""
SYLLABLES = ("ka", "ro", "mi", "len", "tu", "sha", "vor", "bel", "nai", "dro", "san", "ily", "quo", "fen", "or", "zen")

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Genre:
    """What songs of a genre are like on average (0 to 1, `tempo` in beats a minute) and how their titles end."""

    name: str
    force: float
    """How loud and fast they feel; energy, loudness and acousticness follow from it."""
    dance: float
    mood: float
    speech: float
    voiceless: float
    tempo: float
    minutes: float
    fame: float
    endings: tuple[str, ...]
    words: tuple[str, ...]


GENRES = (
    _Genre("acoustic", 0.30, 0.50, 0.42, 0.04, 0.04, 112, 3.4, 46, ("Live", "Acoustic"), ("home", "river", "letters")),
    _Genre(
        "classical", 0.14, 0.32, 0.24, 0.04, 0.75, 104, 4.6, 26, ("Op. 9", "Adagio", "Allegro"), ("sonata", "suite")
    ),
    _Genre("electronic", 0.74, 0.66, 0.38, 0.07, 0.45, 126, 4.4, 34, ("Remix", "Extended Mix"), ("signal", "pulse")),
    _Genre("hip-hop", 0.62, 0.72, 0.50, 0.20, 0.02, 118, 3.3, 44, ("feat.", "Skit"), ("street", "crown", "money")),
    _Genre("metal", 0.90, 0.40, 0.30, 0.09, 0.18, 127, 4.5, 36, ("Live", "Demo"), ("ash", "throne", "blood")),
    _Genre("pop", 0.64, 0.64, 0.52, 0.06, 0.02, 119, 3.4, 52, ("Radio Edit", "feat."), ("love", "tonight", "heart")),
)


def read(name: str) -> pd.DataFrame:  # noqa: ARG001 - there is one
    """SONGS songs, every value as text and with the names of columns that such a file has; always the same ones.

    A song that is listed under a second genre stands there twice, with one id.
    """
    random = np.random.default_rng(SEED)
    return _listed_again(_draw(random), random).astype(str)


def _draw(random: np.random.Generator) -> pd.DataFrame:
    """A row a song."""
    keeps_to = random.integers(0, len(GENRES), ARTISTS)
    sound, fame = random.normal(0, 1, (ARTISTS, 4)), random.normal(0, 7, ARTISTS)
    artist = _by_rank(random)
    genre = np.where(random.random(SONGS) < OTHER_GENRE, random.integers(0, len(GENRES), SONGS), keeps_to[artist])
    own = sound[artist]

    def level(attribute: str) -> Numbers:
        return np.array([getattr(GENRES[place], attribute) for place in genre], dtype=float)

    def near(attribute: str, place: int, spread: float) -> Numbers:
        """Shares about the genre's, as the artist sounds and the song happens to be."""
        centre = np.log(level(attribute) / (1 - level(attribute)))
        return _share(centre + spread * (0.6 * own[:, place] + random.normal(0, 0.8, SONGS)))

    force, dance, mood = near("force", 0, 1.0), near("dance", 1, 0.6), near("mood", 2, 0.9)
    energy = np.clip(force + random.normal(0, 0.09, SONGS), 0.001, 0.999)
    loudness = -22 + 17 * force**0.6 + random.normal(0, 1.9, SONGS)
    popularity = level("fame") + fame[artist] + 9 * (dance - 0.5) - 6 * level("voiceless") + random.normal(0, 12, SONGS)
    unheard = random.random(SONGS) < 0.06
    names = _artists(random)
    return pd.DataFrame(
        {
            "track_id": [f"sim{number:06}" for number in range(SONGS)],
            "artists": _with_guests(names[artist], names, random),
            "album_name": [f"{names[each]} {random.integers(1, 5)}" for each in artist],
            "track_name": [_title(GENRES[place], random) for place in genre],
            "popularity": np.where(unheard, 0, popularity.clip(0, 100)).round().astype(int),
            "duration_ms": (60_000 * level("minutes") * random.lognormal(0, 0.25, SONGS)).round().astype(int),
            "explicit": random.random(SONGS) < np.where(level("speech") > 0.15, 0.5, 0.05),
            "danceability": dance.round(3),
            "energy": energy.round(3),
            "key": random.integers(0, 12, SONGS),
            "loudness": loudness.round(3),
            "mode": (random.random(SONGS) < 0.62).astype(int),
            "speechiness": near("speech", 3, 0.6).round(4),
            "acousticness": _share(3.2 - 7 * force + random.normal(0, 1.3, SONGS)).round(4),
            "instrumentalness": (near("voiceless", 3, 1.6) * (random.random(SONGS) < 0.75)).round(5),
            "liveness": _share(random.normal(-1.6, 0.8, SONGS)).round(4),
            "valence": mood.round(3),
            "tempo": (level("tempo") + 14 * own[:, 1] + random.normal(0, 20, SONGS)).clip(45, 220).round(3),
            "time_signature": random.choice([3, 4, 5], SONGS, p=[0.08, 0.9, 0.02]),
            "track_genre": [GENRES[place].name for place in genre],
        }
    )


def _by_rank(random: np.random.Generator) -> NDArray[np.int64]:
    """The artist of each song: a few have many."""
    weights = 1 / (np.arange(ARTISTS) + 12)
    return random.choice(ARTISTS, SONGS, p=weights / weights.sum())


def _artists(random: np.random.Generator) -> NDArray[np.object_]:
    drawn = [" ".join(_word(random) for _ in range(random.integers(1, 3))) for _ in range(ARTISTS)]
    return np.array(
        [f"{name} {number}" if name in drawn[:number] else name for number, name in enumerate(drawn)], object
    )


def _with_guests(main: NDArray[np.object_], names: NDArray[np.object_], random: np.random.Generator) -> list[str]:
    guests = random.choice(names, SONGS)
    invited = (random.random(SONGS) < GUESTS) & (guests != main)
    return [f"{name};{guest}" if there else name for name, guest, there in zip(main, guests, invited, strict=True)]


def _title(genre: _Genre, random: np.random.Generator) -> str:
    words = [random.choice(genre.words) if random.random() < 0.12 else _word(random) for _ in range(2)]
    title = " ".join(words).capitalize()
    return f"{title} - {random.choice(genre.endings)}" if random.random() < 0.15 else title


def _word(random: np.random.Generator) -> str:
    return "".join(random.choice(SYLLABLES, random.integers(1, 4))).capitalize()


def _listed_again(songs: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    again = songs[random.random(len(songs)) < LISTED_AGAIN]
    others = random.choice([genre.name for genre in GENRES], len(again))
    return pd.concat([songs, again.assign(track_genre=others)], ignore_index=True)


def _share(odds: Numbers) -> Numbers:
    """Between 0 and 1, of log odds."""
    shares: Numbers = 1 / (1 + np.exp(-odds))
    return shares
