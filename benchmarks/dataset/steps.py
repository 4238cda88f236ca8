"""One step of the benchmark in a process of its own, so that its memory is its own: prints seconds, rows and peak.

Owns what is measured. Where the catalogue lies is told; which steps are run, and the table, are __main__'s.

    python -m benchmarks.dataset.steps cut <settings as JSON> <rows> <week>
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from factory.settings import Settings

Step: TypeAlias = Callable[[], int]
"""What is measured: gives the number of rows that it handled. Imports and connections come before it."""

PEER_SQL = (
    "SELECT p.productid, p.designation, p.description, p.imageid, p.created_at, p.group_id, l.prdtypecode "
    "FROM products p LEFT JOIN labels l ON l.productid = p.productid ORDER BY p.productid"
)


def load(settings: Settings, rows: int, part: int, parts: int) -> Step:
    """Part of the simulated catalogue into the tables, by the loader that everybody uses."""
    from factory.catalogue.database import open_catalogue
    from factory.catalogue.loading import load
    from factory.sources.simulation import BLOCK_ROWS, Simulation, simulate

    simulation = Simulation(rows)
    count = -(-rows // BLOCK_ROWS)
    batches = simulate(simulation, blocks=range(part * count // parts, (part + 1) * count // parts))
    engine = open_catalogue(settings.database_url)
    return lambda: load(engine, batches, source=simulation.source, created_at=settings.weeks.epoch).new


def grow(settings: Settings, rows: int, times: int, _: int) -> Step:
    """So many times the products, under ids and text keys of their own, by SQL; the weeks cut so far are forgotten.

    Loading 10 million products takes too long for a benchmark. Their texts repeat those of the first, which costs a
    cut neither more nor less: it looks at keys.
    """
    from sqlalchemy import text

    from factory.catalogue.database import open_catalogue

    engine = open_catalogue(settings.database_url)

    def repeat() -> int:
        with engine.begin() as connection:
            for number in range(1, times):
                connection.execute(text(GROW_PRODUCTS), {"number": number, "digit": str(number)})
                connection.execute(text(GROW_LABELS), {"digit": str(number)})
            connection.execute(text("DELETE FROM data_loads"))
        return rows * times

    return repeat


def cut(settings: Settings, rows: int, week: int, _: int) -> Step:  # noqa: ARG001 - every step is asked alike
    """A week with its split; the first one freezes the test set too."""
    from factory.snapshots.cutting import cut_week

    return lambda: cut_week(settings, "products", as_of=settings.weeks.epoch, week=week).rows


def check(settings: Settings, rows: int, week: int, _: int) -> Step:  # noqa: ARG001 - every step is asked alike
    """The week's checks and its quality report."""
    from factory.quality.checking import check_week
    from factory.snapshots.cutting import cut_week

    dataset = cut_week(settings, "products", as_of=settings.weeks.epoch, week=week)  # it stands already
    return lambda: check_week(settings, dataset).rows


def pandas(settings: Settings, rows: int, week: int, _: int) -> Step:  # noqa: ARG001 - every step is asked alike
    """The peer: everything into one frame, and that into a file. No share, no split, no checksum."""
    import pandas as pd
    import pyarrow.parquet  # noqa: F401 - to_parquet's engine: its import is not what is measured
    from sqlalchemy import create_engine

    engine = create_engine(settings.database_url)

    def read_and_write() -> int:
        with engine.connect() as connection:
            frame = pd.read_sql(PEER_SQL, connection)
        frame.to_parquet(Path(settings.snapshot_uri.removeprefix("file://")) / "pandas.parquet", index=False)
        return len(frame)

    return read_and_write


GROW_PRODUCTS = """
INSERT INTO products
    (productid, designation, description, imageid, created_at, group_id, text_key, text_cleaning)
SELECT CAST(:digit AS TEXT) || productid, designation, description, imageid, created_at, group_id,
    (text_key | :number) - (text_key & :number), text_cleaning
FROM products WHERE length(productid) = 10
"""
"""An id of the simulation has ten digits. `(a | b) - (a & b)` is an exclusive or, for which SQLite has no operator."""
GROW_LABELS = """
INSERT INTO labels (productid, prdtypecode)
SELECT CAST(:digit AS TEXT) || productid, prdtypecode FROM labels WHERE length(productid) = 10
"""

STEPS: dict[str, Callable[[Settings, int, int, int], Step]] = {
    "load": load, "grow": grow, "cut": cut, "check": check, "pandas": pandas,
}  # fmt: skip


def main() -> None:
    """Run the named step; its last line on standard output is the measurement."""
    name, document, *numbers = sys.argv[1:]
    rows, first, second = map(int, numbers)
    settings = Settings.model_validate_json(document)
    step = STEPS[name](settings, rows, first, second)
    began, busy = time.perf_counter(), time.process_time()
    handled = step()
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - busy
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in KiB
    print(json.dumps({"rows": handled, "seconds": seconds, "cpu_seconds": cpu_seconds, "peak_bytes": peak_bytes}))


if __name__ == "__main__":
    main()
