"""What tests have other processes do. One process has imported all of it, and forks each: it begins in a moment."""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path

from factory.catalogue.database import create_tables, exclusive, open_catalogue, open_engine
from factory.catalogue.schema import sources
from factory.records.drift_checks import claim_retraining
from factory.settings import Settings
from factory.snapshots import cutting, text_rows
from factory.snapshots.cutting import cut_week

WAIT_SECONDS = 300


def make_tables(settings: Settings, together: Barrier) -> None:
    engine = open_engine(settings.database_url)
    together.wait(WAIT_SECONDS)
    create_tables(engine)


def take_turns(settings: Settings, together: Barrier, counter: Path) -> None:
    """Count up twenty times, which is right only if nobody else does meanwhile."""
    engine = open_engine(settings.database_url)
    together.wait(WAIT_SECONDS)
    for _ in range(20):
        with exclusive(engine, "turns"):
            counter.write_text(str(int(counter.read_text()) + 1))


def hold_the_lock(settings: Settings, held: Event) -> None:
    """With a row that is not committed; until it is killed."""
    with exclusive(open_engine(settings.database_url), "turns") as connection:
        connection.execute(sources.insert().values(name="half done", loaded_at=datetime.now(UTC)))
        held.set()
        signal.pause()


def claim(settings: Settings, together: Barrier) -> None:
    engine, until = open_catalogue(settings.database_url), datetime(2026, 2, 2, tzinfo=UTC)
    together.wait(WAIT_SECONDS)
    standing = claim_retraining(engine, "products", until, 30, claimed_by=str(os.getpid()))
    print("refused" if standing else "claimed")


def cut(settings: Settings, together: Barrier) -> None:
    together.wait(WAIT_SECONDS)
    print(cut_week(settings, "products", as_of=settings.weeks.epoch).model_dump_json())


def die_while_the_week_is_published(settings: Settings) -> None:
    text_rows.WeekOfTexts._finished = _die
    cut_week(settings, "products", as_of=settings.weeks.epoch)


def die_before_the_cut_is_recorded(settings: Settings) -> None:
    cutting.ledger.record_cut = _die
    cut_week(settings, "products", as_of=settings.weeks.epoch)


def _die(*args: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)
