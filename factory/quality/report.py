"""The data-quality report of a week and the rows that its findings speak of, as files beside the snapshot.

Owns how they look. The training logs the report with its run; a person opens the rows in a spreadsheet.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from html import escape
from typing import Any

from factory.contracts import DatasetRef
from factory.lineage.data import Data, Finding, of_file
from factory.quality.inspection import Inspection
from factory.records import ledger, stored
from factory.snapshots.store import beside, read_beside, write_beside
from factory.use_cases import clock_of

HTML, JSON, ROWS = ".quality.html", ".quality.json", ".findings.csv"
"""Endings of the files' names; the rest is the snapshot's."""


def write_report(dataset: DatasetRef, inspection: Inspection, status: str) -> None:
    """The report beside the snapshot, for people and for programs. Raises SnapshotStoreUnusable."""
    write_beside(dataset, JSON, json.dumps(_document(dataset, inspection, status), ensure_ascii=False).encode())
    write_beside(dataset, HTML, _page(dataset, inspection, status).encode())


def read_report(dataset: DatasetRef) -> dict[str, bytes]:
    """The report's files by name (quality.html, quality.json); those that do not stand there are left out."""
    found = {ending.lstrip("."): read_beside(dataset, ending) for ending in (HTML, JSON)}
    return {name: content for name, content in found.items() if content is not None}


def address_of_report(dataset: DatasetRef) -> str:
    """Where the report for programs stands."""
    return beside(dataset, JSON)


def as_data(dataset: DatasetRef) -> Data:
    """The snapshot as lineage tells of it, with the verdict and the findings of the report that stands beside it."""
    named = of_file(dataset)

    def look(data: Data) -> Data:
        seen, content = named.look(data) if named.look else data, read_beside(dataset, JSON)
        return seen if content is None else _judged(seen, json.loads(content))

    return replace(named, look=look)


def _judged(data: Data, document: Mapping[str, Any]) -> Data:
    """The data with what a report says of it; as it is where the report speaks of another file."""
    if document["sha256"] != data.version:
        return data
    found = [
        Finding(each["name"], each["severity"] != "noted", each["sentence"], each["rows"])
        for each in document["findings"]
    ]
    return replace(data, accepted=document["status"] == "accepted", findings=tuple(found))


def write_rows(dataset: DatasetRef, inspection: Inspection) -> str | None:
    """The rows of every finding as CSV beside the snapshot; gives its URI, None when no finding has rows."""
    rows = [(fault.name, row) for fault in inspection.faults for row in fault.offenders.records()]
    if not rows:
        return None
    table = io.StringIO()
    writer = csv.writer(table)
    columns = list(dict.fromkeys(column for _, row in rows for column in row))
    writer.writerow(["finding", *columns])
    writer.writerows([name, *(_cell(row.get(column)) for column in columns)] for name, row in rows)
    return write_beside(dataset, ROWS, b"\xef\xbb\xbf" + table.getvalue().encode())  # spreadsheets need the mark


def first_rows(inspection: Inspection, count: int = 10) -> list[str]:
    """The first rows of what stops the week, a line each: the finding, the product and its texts, shortened."""
    lines = []
    for fault in inspection.faults:
        if fault.severity == "noted":
            continue
        for row in fault.offenders.records()[:count]:
            cells = ", ".join(f"{name}={_short(value)}" for name, value in row.items())
            lines.append(f"[{fault.name}] {cells}")
    return lines[:count]


def _cell(value: str | None) -> str | None:
    # a spreadsheet takes these for formulas, and a product's text may be anybody's
    return f"'{value}" if value and value[0] in "=+-@\t\r" else value


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def _document(dataset: DatasetRef, inspection: Inspection, status: str) -> dict[str, object]:
    return {
        stored.SCHEMA_FIELD: stored.SCHEMA,
        "batch": ledger.batch_name(dataset.use_case, dataset.week, dataset.revision),
        "status": status,
        "sha256": dataset.sha256,
        "profile": asdict(inspection.profile) if inspection.profile else None,
        "findings": [
            {"name": fault.name, "severity": fault.severity, "sentence": fault.sentence, "rows": fault.offenders.rows}
            for fault in inspection.faults
        ],
    }


def _page(dataset: DatasetRef, inspection: Inspection, status: str) -> str:
    noun = clock_of(dataset.use_case).noun
    name = ledger.batch_name(dataset.use_case, dataset.week, dataset.revision)
    findings = [[fault.severity, fault.sentence, f"{fault.offenders.rows:,}"] for fault in inspection.faults]
    parts = [
        f"<h1>Data quality of {escape(name)}: {escape(status)}</h1>",
        f"<p>Snapshot {escape(dataset.uri)}, sha256 {dataset.sha256}, as of {dataset.as_of:%Y-%m-%d %H:%M} UTC.</p>",
        "<h2>Findings</h2>",
        _table(["severity", "finding", "rows"], findings) if findings else "<p>None.</p>",
    ]
    if profile := inspection.profile:
        told = [
            ["Rows", f"{profile.rows:,}"],
            ["To train on", f"{dataset.train_rows:,}"],
            [f"New this {noun}", f"{dataset.arrivals:,}"],
            *map(list, profile.facts()),
        ]
        classes = sorted(profile.classes.items(), key=lambda pair: -pair[1])
        counts = [[code, f"{rows:,}", f"{rows / max(profile.rows, 1):.1%}"] for code, rows in classes]
        parts += [
            f"<h2>The {noun}</h2>",
            _table(["", ""], told),
            "<h2>Classes</h2>",
            _table(["class", "rows", ""], counts),
        ]
    style = "body{font:15px sans-serif;margin:2em}td,th{padding:.2em 1em .2em 0;text-align:left;vertical-align:top}"
    return f"<!doctype html><meta charset=utf-8><title>{escape(name)}</title><style>{style}</style>{''.join(parts)}"


def _table(head: list[str], rows: list[list[str]]) -> str:
    cells = [f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows]
    return f"<table><tr>{''.join(f'<th>{escape(name)}</th>' for name in head)}</tr>{''.join(cells)}</table>"
