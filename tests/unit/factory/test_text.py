"""What a product's text is, and which texts are one."""

from __future__ import annotations

import html
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.text import _AMPERSAND, _without_hidden, group_of, product_text

AMBIGUOUS = {"&", "<", *"\u00c2\u00c3\u00e2\u00f0\u00c5\u00c4", *map(chr, range(0x80, 0xA0))}
"""What was escaped twice and cut apart may be markup only in a clean text. Beside what a wrong encoding leaves behind,
white space is part of the evidence, and it is plain only then."""


@pytest.mark.parametrize(
    ("designation", "description", "expected"),
    [
        ("Drill", "18 V", "Drill 18 V"),
        ("Drill", None, "Drill"),
        ("Drill", float("nan"), "Drill"),
        ("Drill", pd.NA, "Drill"),
        (None, None, ""),
        ("nan", None, "nan"),
        ("Caf&eacute; &amp; th&#233;", "", "Café & thé"),
        ("d&amp;eacute;j&amp;agrave;", None, "déjà"),
        ("A<br/>B", "<p class='x'>C</p><!-- no -->", "A B C"),
        ("&lt;b&gt;bold&lt;/b&gt;", "<style>p { color: red }</style>shown", "bold shown"),
        ("x < y and y > z", None, "x < y and y > z"),
        (" two\u00a0 spaces\n", "\t", "two spaces"),
        ("Lait Nan", "nan", "Lait Nan"),
        ("Lampe", " NULL ", "Lampe"),
        ("None", "<NA>", "None"),
        ("CafÃ© dâ€™Ã©tÃ©", None, "Café d'été"),
        ("Château, là où l’âne — « être » … œuvre", None, 'Château, là où l\'âne - " être " ... œuvre'),
        ("e\u0301te\u0301", None, "été"),
        ("soft\u00adhy\u200bphen\ufeff", None, "softhyphen"),
        ("It&rsquo;s the kid&#8217;s", "d&rsquo;&Eacute;t&eacute;", "It's the kid's d'Été"),
    ],
)
def test_text_is_plain_and_never_says_nan(designation: object, description: object, expected: str) -> None:
    assert product_text(designation, description) == expected


def test_two_series_give_a_series_on_the_same_index() -> None:
    frame = pd.DataFrame({"a": ["x", "y"], "b": [np.nan, "z&amp;"]}, index=[7, 3])
    texts = product_text(frame["a"], frame["b"])
    assert texts.to_dict() == {7: "x", 3: "y z&"}


def test_empty_series_give_an_empty_series_of_texts() -> None:
    empty = pd.Series([], dtype="str")
    assert product_text(empty, empty).tolist() == []


def test_a_series_beside_a_single_text_is_refused() -> None:
    with pytest.raises(TypeError, match="must be one too"):
        product_text(pd.Series(["x"]), "y")


@given(st.text(), st.text())
def test_a_cleaned_text_is_one_line_without_outer_spaces(designation: str, description: str) -> None:
    text = product_text(designation, description)
    assert text == " ".join(text.split())


@pytest.mark.parametrize(
    "twin", ["USB-C Cable, 2 m", "usb c cable 2 M", "  USB–C   CABLE (2 m) ", "ＵＳＢ-C cable 2 m"]
)
def test_case_punctuation_and_spacing_do_not_tell_texts_apart(twin: str) -> None:
    assert group_of(twin) == "usb c cable 2 m"


@pytest.mark.parametrize("twin", ["TELEVISEUR D'ETE", "Téléviseur d’été", "te\u0301le\u0301viseur d ete"])
def test_french_in_capitals_is_often_without_accents_and_still_the_same(twin: str) -> None:
    assert group_of(product_text(twin, None)) == "televiseur d ete"


def test_ligatures_are_two_letters() -> None:
    assert group_of("ŒUVRE cœur") == group_of("oeuvre coeur") == "oeuvre coeur"


def test_good_french_is_left_as_it_is() -> None:
    text = "Ça, là-bas : naïve façade, où l'été à Noël coûte 5 €, forêt, maïs, Ù Ï Ë ÿ, garçon"
    assert product_text(text, None) == text


@given(st.text())
def test_cleaning_twice_changes_nothing(text: str) -> None:
    once = product_text(text, None)
    if not AMBIGUOUS & set(once):
        assert product_text(once, None) == once


def test_grouping_any_single_character_twice_changes_nothing() -> None:
    groups = {group_of(chr(point)) for point in range(sys.maxunicode + 1)}
    assert [ascii(group) for group in groups if group_of(group) != group] == []


def test_letters_of_another_shape_are_those_letters_in_any_case() -> None:
    assert group_of("\U0001d4d0\uff22\u00aa") == group_of("aba")


@given(st.text())
def test_grouping_twice_changes_nothing(text: str) -> None:
    assert group_of(group_of(text)) == group_of(text)


_HIDDEN_AS_ONE_PATTERN = re.compile(r"<(script|style)\b.*?</\1\s*>|<!--.*?-->", re.IGNORECASE | re.DOTALL)


@given(
    st.lists(
        st.sampled_from(["<!--", "-->", "<script", "</SCRIPT >", "<style>", "</style", ">", "-", "<", "a", " ", "\n"])
    )
)
def test_hidden_parts_are_those_of_the_plain_pattern(pieces: list[str]) -> None:
    text = "".join(pieces)
    assert _without_hidden(text) == _HIDDEN_AS_ONE_PATTERN.sub(" ", text)


@given(st.lists(st.sampled_from(["&", "amp;", "amp", "AMP;", "#38;", "#x26;", "#385", "#38", "lt;", "a", ";", " "])))
def test_ampersands_are_resolved_as_one_by_one(pieces: list[str]) -> None:
    text = whole = "".join(pieces)
    while (resolved := html.unescape(whole)) != whole:
        whole = resolved
    while (resolved := html.unescape(_AMPERSAND.sub("&", text))) != text:
        text = resolved
    assert text == whole


HOSTILE = (
    "<!--",
    "<script ",
    "<style",
    "</script ",
    "<",
    "<a ",
    "&amp;",
    "amp;",
    "#38;",
    "&#38;",
    "&lt;!--",
    "\u0315\u0300",
    "Ã©",
)


def test_cleaning_takes_time_as_the_text_is_long() -> None:
    """300,000 pieces each: seconds of the processor's time, or hours where one is looked for from every other."""
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_CPU, (90, 90))\n"
        "from factory.text import _AMPERSAND, _without_hidden, group_of, product_text\n"
        f"for piece in {HOSTILE!r}:\n"
        "    print(repr(piece), flush=True)\n"
        "    group_of(product_text('&' + piece * 300_000, None))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, f"the processor's time was used up by {done.stdout.split()[-1:]}: {done.stderr}"


@pytest.mark.parametrize(
    ("reference", "read"),
    [
        ("&#" + "9" * 80_000 + ";", "\ufffd"),
        ("&#" + "0" * 80_000 + "65;", "A"),
        ("&#000000233;", "é"),
        ("&amp;#" + "7" * 5_000, "\ufffd"),
        ("&#x" + "f" * 80_000 + ";", "\ufffd"),
    ],
)
def test_a_reference_to_a_character_may_be_of_any_length(reference: str, read: str) -> None:
    assert product_text(f"a {reference} b", None) == f"a {read} b"
