"""What leaves a flow can be read on the other side."""

from __future__ import annotations

import math
from typing import Any

import pytest
from pydantic import BaseModel

from flows.adapters import publication


class Result(BaseModel):
    scores: dict[str, Any]


@pytest.mark.parametrize(
    ("scores", "path"),
    [
        ({"f1": [0.5, math.nan]}, r"Result\.scores\.f1\[1\] is nan"),
        ({"f1": math.inf}, r"Result\.scores\.f1 is inf"),
        ({"name": "a\x00b"}, r"Result\.scores\.name holds a character that is none"),
        ({"text": "x" * 3_000_000}, r"Result is larger than 2 MB"),
        ({"rows": 2**70}, r"Result\.scores\.rows is an integer of more than 64 bits"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_result_that_cannot_cross_is_refused_in_the_flow(
    scores: dict[str, Any], path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def created(**_: Any) -> None:
        raise AssertionError("nothing may be published")

    monkeypatch.setattr(publication, "Artifact", created)
    with pytest.raises(ValueError, match=path):
        publication.publish(Result(scores=scores))
