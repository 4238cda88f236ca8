"""A check for drift among those before it: what moved slowly, and how the check is told.

Pure. What counts as drift is `flows.core.drift_check`, what as a trend `flows.core.trend`. Must not know where checks
are kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from flows.core import drift
from flows.core.drift_check import Finding
from flows.core.trend import Week, find_trends


@dataclass(frozen=True, slots=True)
class PastCheck:
    """A check of before: where its windows ended, the version it looked at, and what came by in `rows` predictions.

    `shares` holds each value's share (0 to 1) by kind: language, source and prediction.
    """

    until: datetime
    version: str
    rows: int
    shares: Mapping[str, Mapping[str, float]]


def with_trends(finding: Finding, past: Sequence[PastCheck], *, until: datetime, version: str, rows: int) -> Finding:
    """The finding with what moved slowly from the checks of before, the oldest first, to this one.

    It ends at `until` and is of `rows` predictions of the version; what another version predicted says nothing of it.
    """
    weeks = []
    for check in past:
        shares = {
            kind: found for kind, found in check.shares.items() if check.version == version or kind != drift.PREDICTION
        }
        weeks.append(Week((check.until - until) / timedelta(days=1), check.rows, shares))
    weeks.append(Week(0.0, rows, finding.slices.shares))
    return replace(finding, trends=find_trends(weeks))


def tell(finding: Finding, *, version: str, samples: int, threshold: float, slowly: Sequence[str] = ()) -> str:
    """The check in a sentence, with its numbers: of `samples` predictions, beside the alarm's threshold (0 to 1).

    `slowly` holds the trends in words.
    """
    drifted, slices = finding.drifted(), finding.slices.drifted()
    columns = f" ({', '.join(drifted)})" if drifted else ""
    among = f"; drifted slices: {', '.join(slices)}" if slices else ""
    moved = "".join(f"; slowly {told}" for told in slowly)
    relation = "above" if finding.score > threshold else "not above"
    return (
        f"{finding.level} over {samples:,} predictions of version {version}: "
        f"drift score {finding.score:.2f}{columns} is {relation} {threshold:.2f}{among}{moved}"
    )
