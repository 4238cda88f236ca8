"""How pages become HTML, over a template of the test's own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from plugins.control_page import pages


def test_a_template_that_is_replaced_below_a_running_page_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = tmp_path / "templates" / "page.html"
    template.parent.mkdir()
    template.write_text("{{ word }}")
    monkeypatch.setattr(pages, "HERE", tmp_path)
    environment = pages.environment.__wrapped__()
    environment.get_template("page.html")

    template.write_text("{{ what_newer_code_gives }}")
    os.utime(template, (0, 0))

    assert environment.get_template("page.html").render(word="as it was") == "as it was"
