"""What others wrote is shown as text: it steers no terminal, and it says what it says."""

from __future__ import annotations

import io
import json
import re
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.cli import display
from bridge.cli.completing import complete_deployments, complete_flow_runs
from bridge.cli.display import Display
from bridge.ending import Outcome
from bridge.plain_text import as_json, as_line, as_lines
from bridge.prefect_api.records import FlowRun, LogLine
from bridge.readiness import Finding
from bridge.testing import FakePrefect

ANYTHING = st.text(st.characters(codec=None, categories=None))
STEERING = {"Cc", "Cf", "Cs", "Zl", "Zp"}
HOSTILE = "\x1b[2J\x1b]0;title\x07\x9b31m\u202eevil\u2066\u200b\u2028\x7f\x85\ud800[red]x[/nothing]"
"""Clears a screen, sets its title, colours, turns round, hides, and looks like rich's markup."""


def steering(text: str, *besides: str) -> set[str]:
    """The characters of the text that are not for reading; joiners are where they are between others."""
    unseen = {each for each in text if unicodedata.category(each) in STEERING}
    return unseen - {*besides} - {"\u200c", "\u200d"}


@given(ANYTHING)
def test_no_text_steers_a_terminal(text: str) -> None:
    assert steering(as_line(text)) == set()
    assert steering(as_lines(text), "\n", "\t") == set()
    as_lines(text).encode()  # a lone surrogate could not be written


@given(st.recursive(ANYTHING | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(ANYTHING, inner)))
def test_json_holds_exactly_what_was_there_and_steers_no_terminal(document: object) -> None:
    for indent in (None, 2):
        written = as_json(document, indent)
        assert json.loads(written) == json.loads(json.dumps(document))
        assert steering(written, "\n") == set()


@pytest.mark.parametrize("text", ["Größe 10 €", "日本語", "naïve – “quoted”", "👩‍💻 done", "❤️", "می‌خواهم"])
def test_what_people_write_stays_as_they_wrote_it(text: str) -> None:
    assert as_line(text) == text


def test_lines_and_tabs_of_a_message_stay() -> None:
    assert as_lines("a\tb\r\nc\rd") == "a\tb\nc\\rd"
    assert as_line("a\tb\nc") == "a\\tb\\nc"


@pytest.fixture(params=[True, False], ids=["terminal", "pipe"])
def shown(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """All that a Display writes, to a terminal of 80 columns without colours, or to a pipe."""
    written = io.StringIO()
    monkeypatch.setenv("NO_COLOR", "1")
    make = display._Console

    def console(**options: object) -> display._Console:
        options.pop("stderr", None)
        return make(file=written, force_terminal=request.param, width=80, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(display, "_Console", console)
    return written


def hostile_run() -> FlowRun:
    state = {"type": "RUNNING", "name": HOSTILE, "message": HOSTILE, "timestamp": "2026-01-05T07:00:00Z"}
    more = {"tags": [HOSTILE], "parameters": {HOSTILE: HOSTILE}, "work_pool_name": HOSTILE}
    return FlowRun.parse({"id": "r1", "name": f"{HOSTILE}\nstate  COMPLETED", "state": state, **more})


@pytest.mark.parametrize("in_json", [True, False])
def test_nothing_that_the_command_line_shows_steers_a_terminal(shown: io.StringIO, *, in_json: bool) -> None:
    told, run = Display(as_json=in_json), hostile_run()
    told.say(HOSTILE)
    told.state(run)
    told.run(run, "http://p")
    line = LogLine("1", datetime.now(UTC), 25, HOSTILE, f"{HOSTILE}\nsecond line")
    told.log(line)
    told.log_as_answer(line)
    told.outcome(run, "http://p", Outcome({HOSTILE: HOSTILE}, skipped_because=HOSTILE))
    told.away(HOSTILE, 3)
    told.rows(HOSTILE, [{HOSTILE: HOSTILE, "state": HOSTILE}])
    told.findings(HOSTILE, [Finding(HOSTILE, in_order=False, detail=HOSTILE, remedy=HOSTILE)])
    with told.live() as live:
        live.state(run)
    text = shown.getvalue()
    for ours in ("\x1b[1m", "\x1b[0m", "\x1b[2m", "\x1b[?25l", "\x1b[?25h", "\x1b[2K", "\x1b[1A"):
        text = text.replace(ours, "")
    assert steering(text, "\n", "\r", "\t") == set()
    assert "evil" in text
    assert not any(row.startswith("state  COMPLETED") for row in text.splitlines())


@pytest.mark.parametrize("shown", [True], indirect=True)
def test_what_the_doctor_finds_fits_into_eighty_columns(shown: io.StringIO) -> None:
    remedy = "prefect global-concurrency-limit update deployment:0b93ca85-8741-42e1-800f-607f2b0d4df5 --limit 1"
    findings = [
        Finding("API", in_order=True, detail="Prefect 3.8.8"),
        Finding("deployment monitor-and-retrain/products", in_order=False, detail="its limit is 0", remedy=remedy),
    ]
    Display(as_json=False).findings("Prefect at http://p", findings)
    rows = [re.sub(r"\x1b\[\d*m", "", row).rstrip() for row in shown.getvalue().splitlines()]
    assert all(len(row) <= 80 for row in rows)
    assert any("deployment monitor-and-retrain/products: its limit is 0" in row for row in rows)


def test_a_shell_is_offered_words_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    with FakePrefect() as prefect:
        monkeypatch.setenv("PREFECT_API_URL", prefect.api_url)
        for name in ("good/one", "evil/$(reboot)", "evil/\x1b[2J", "evil/\u202etxt", "evil/a\nb"):
            prefect.deployment(name)
        prefect.on_run("good/one", state="RUNNING")
        run = prefect.run("good/one")
        prefect.set_state(run, "RUNNING", name=HOSTILE.replace("\ud800", ""))
        context = type("Context", (), {"params": {}})()
        assert complete_deployments(context, "") == ["good/one"]
        [(offered, words)] = complete_flow_runs(context, "")
    assert offered == run.id
    assert steering(words) == set()
