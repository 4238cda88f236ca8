"""What says yes or no is read in every usual spelling; anything else is refused with its name."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter

from bridge.errors import ConnectionMisconfigured
from bridge.profiles import find_connection
from bridge.switches import FALSE, TRUE, meaning, read_switch


@pytest.mark.parametrize("word", sorted(TRUE | FALSE))
def test_every_usual_spelling_means_what_it_means_to_pydantic(word: str) -> None:
    for written in (word, word.upper(), word.capitalize(), f" {word}\n"):
        assert meaning(written) is TypeAdapter(bool).validate_python(written.strip())


@pytest.mark.parametrize("text", ["ja", "2", "-1", "truee", "none", "true false"])
def test_anything_else_is_refused_with_its_name(text: str) -> None:
    with pytest.raises(ValueError, match=f"SOME_SWITCH='{text}' is neither true nor false"):
        read_switch("SOME_SWITCH", text, default=True)


@pytest.mark.parametrize("text", [None, "", "  "])
def test_what_says_nothing_leaves_the_default(text: str | None) -> None:
    assert read_switch("SOME_SWITCH", text, default=True)
    assert not read_switch("SOME_SWITCH", text, default=False)


def test_prefects_own_switch_is_read_so(tmp_path) -> None:
    name = "PREFECT_API_TLS_INSECURE_SKIP_VERIFY"
    known = {"PREFECT_API_URL": "https://prefect.example.org/api", "PREFECT_HOME": str(tmp_path)}

    assert find_connection({**known, name: "Y"}, folder=tmp_path).verify is False
    assert find_connection({**known, name: "off"}, folder=tmp_path).verify is True
    with pytest.raises(ConnectionMisconfigured, match=name):
        find_connection({**known, name: "nope!"}, folder=tmp_path)
