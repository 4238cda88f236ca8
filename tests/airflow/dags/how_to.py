"""The DAGs of the how-to pages, as Airflow finds them: each block of a page in a namespace of its own."""

from __future__ import annotations

import re
from pathlib import Path

HOW_TO = Path(__file__).resolve().parents[3] / "docs" / "how-to"
PAGES = ("run-a-deployment", "wait-and-time-out", "end-well", "follow-a-run", "map-over-parameters")

for page in PAGES:
    for block in re.findall(r"```python\n(.*?)```", (HOW_TO / f"{page}.md").read_text(), re.DOTALL):
        if "with DAG(" in block:
            exec(compile(block, f"{page}.md", "exec"), {"__name__": __name__})  # noqa: S102 — the project's own text
