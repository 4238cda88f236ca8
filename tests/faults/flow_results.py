"""What flow runs publish as their result, the odd ones included, as the text that Prefect holds. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

Holds = Literal["yes", "no", "perhaps"]
LARGE = 400_000
DEEP = 100_000


@dataclass(frozen=True, slots=True)
class Published:
    """`text` as an artifact's data; `value` what it says. Whether Airflow can hold that: "perhaps" is the bridge's say.

    A value that Airflow cannot hold must end its own run's task as ResultInvalid, and nobody else's.
    """

    text: str
    holds: Holds = "yes"

    @property
    def value(self) -> Any:
        """None where it cannot be held."""
        return None if self.holds == "no" else json.loads(self.text)


def published(name: str, seed: int, flow_run_id: str) -> Published:
    """The result of that name, of that run."""
    mark = f'"seed": {seed}, "flow_run_id": "{flow_run_id}"'
    return {
        "plain": Published(f"{{{mark}}}"),
        "not a number": Published(f'{{{mark}, "rate": NaN}}', "no"),
        "infinite": Published(f'{{{mark}, "deep": [{{"rate": [1.5, -Infinity]}}]}}', "no"),
        "a list": Published(f"[{{{mark}}}]", "no"),
        "a text": Published('"all is well"', "no"),
        "nested too deep": Published(f'{{{mark}, "deep": {"[" * DEEP}{"]" * DEEP}}}', "no"),
        "nested deep": Published(f'{{{mark}, "deep": {"[" * 90}{"]" * 90}}}', "perhaps"),
        "large": Published(f'{{{mark}, "text": "{"x" * LARGE}"}}', "perhaps"),
        "half a character": Published(f'{{{mark}, "text": "\\ud800"}}', "no"),
    }[name]


RESULTS = (
    "plain",
    "not a number",
    "infinite",
    "a list",
    "a text",
    "nested too deep",
    "nested deep",
    "large",
    "half a character",
)
