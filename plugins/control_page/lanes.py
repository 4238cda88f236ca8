"""Runs over time: a lane for each deployment, a block for each run. Pure: views in, places out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from plugins.control_page.run_views import RunView

STEPS = 240
"""The end of the picture moves on in so many steps: else it would be another at every look."""
NARROWEST = 0.6
"""In percent of the whole time: what is shorter could not be hit."""
GAP = 0.1
MOST_ROWS = 12
ROW_PIXELS = 16
TICKS = 5
NO_DEPLOYMENT = "without a deployment"


@dataclass(frozen=True, slots=True)
class Block:
    """One run; `left` and `width` are in percent of the time that is shown, `top` is in pixels from the lane's."""

    run: RunView
    left: float
    width: float
    top: int


@dataclass(frozen=True, slots=True)
class Lane:
    """The runs of one deployment, those that overlap below each other; `height` is in pixels."""

    name: str
    height: int
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """The lanes by name, and moments at equal distances from the begin of the time that is shown to its end."""

    lanes: tuple[Lane, ...]
    ticks: tuple[datetime, ...]


def picture(runs: Sequence[RunView], span: timedelta | None, now: datetime) -> Picture:
    """Of the runs that have gone on within the last `span`; without one, from the first of them on."""
    begins = [began for run in runs if (began := _began(run)) is not None]
    length = span or max(now - min(begins, default=now), timedelta(minutes=1))
    until = _next_step(now, length / STEPS)
    since = until - length
    lanes: dict[str, list[RunView]] = {}
    for run in runs:
        began = _began(run)
        if began is not None and began <= until and _end(run, began, now) >= since:
            lanes.setdefault(run.deployment or NO_DEPLOYMENT, []).append(run)
    return Picture(
        tuple(_lane(name, each, since, until, now) for name, each in sorted(lanes.items())),
        tuple(since + length * step / (TICKS - 1) for step in range(TICKS)),
    )


def _lane(name: str, runs: Iterable[RunView], since: datetime, until: datetime, now: datetime) -> Lane:
    whole, ends, blocks = until - since, [0.0], []
    for run in sorted(runs, key=lambda each: _began(each) or now):
        began = _began(run) or now
        left = min(100 - NARROWEST, max(0.0, 100 * ((began - since) / whole)))
        width = max(NARROWEST, min(100.0, 100 * ((_end(run, began, now) - since) / whole)) - left)
        row = next((row for row, end in enumerate(ends) if end <= left), len(ends))
        row = min(row, MOST_ROWS - 1)
        ends[row:] = [left + width + GAP, *ends[row + 1 :]]
        blocks.append(Block(run, round(left, 2), round(min(width, 100 - left), 2), row * ROW_PIXELS))
    return Lane(name, len(ends) * ROW_PIXELS, tuple(blocks))


def _began(run: RunView) -> datetime | None:
    return run.began or run.due


def _end(run: RunView, began: datetime, now: datetime) -> datetime:
    """A run that waits is a mark where it was due; one that runs goes on up to now."""
    if run.ended is not None:
        return max(began, run.ended)
    return max(began, now) if run.is_live and run.began is not None else began


def _next_step(now: datetime, step: timedelta) -> datetime:
    seconds = step.total_seconds()
    return datetime.fromtimestamp((now.timestamp() // seconds + 1) * seconds, UTC)
