"""The DAG of a page in `docs/`, as Airflow finds it, with a deployment that the tests serve."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[3] / "docs" / "how-to" / "wait-for-many.md"
[EXAMPLE] = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
SERVED = EXAMPLE.replace("score/products", "echo/t").replace('{"region": region}', '{"text": region}')

exec(compile(SERVED, PAGE.name, "exec"))  # noqa: S102 — the project's own text
