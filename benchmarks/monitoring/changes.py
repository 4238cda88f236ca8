"""Changes that the whole dilutes, made in a stream of real weeks: another language, and texts that are missing."""

from __future__ import annotations

import numpy as np
import pandas as pd

from benchmarks.monitoring.streams import Stream

PHRASES = """\
chaise pliante en bois massif pour le jardin avec coussin assorti
lampe de bureau réglable à lumière blanche
lot de six verres à vin pour la maison
housse de protection imperméable
petite table basse de salon en métal noir
jouet d'éveil pour les enfants dès trois ans
livre de cuisine facile et rapide
sac à dos léger de randonnée
"""
FRENCH = [word for phrase in PHRASES.splitlines() for word in phrase.split()]
WORDS = 9
SEED = 7


def slowly_french(stream: Stream, last: float) -> Stream:
    """French takes the same share more every week, until it is `last` (0 to 1) in the last one."""
    return _changed(stream, {week: last * place / len(stream.weeks) for place, week in enumerate(stream.weeks, 1)})


def french_at_once(stream: Stream, share: float, week: int) -> Stream:
    """From that week on a share (0 to 1) of the texts is French."""
    return _changed(stream, {each: share if each >= week else 0.0 for each in stream.weeks})


def missing(stream: Stream, share: float) -> Stream:
    """A share (0 to 1) of every week's texts is empty, one at least."""
    random = np.random.default_rng(SEED)
    weeks = {}
    for week, rows in stream.weeks.items():
        empty = random.choice(len(rows), max(round(share * len(rows)), 1), replace=False)
        weeks[week] = stream.predict(rows.assign(text=rows["text"].where(~np.isin(np.arange(len(rows)), empty), "")))
    return Stream(stream.name, stream.reference, weeks, stream.predict)


def _changed(stream: Stream, shares: dict[int, float]) -> Stream:
    random = np.random.default_rng(SEED)
    weeks = {}
    for week, rows in stream.weeks.items():
        foreign = random.random(len(rows)) < shares[week]
        french = pd.Series([" ".join(random.choice(FRENCH, WORDS)) for _ in range(len(rows))], index=rows.index)
        weeks[week] = stream.predict(rows.assign(text=rows["text"].mask(foreign, french)))
    return Stream(stream.name, stream.reference, weeks, stream.predict)
