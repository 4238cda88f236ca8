"""Corrections on record: what the next cut sees, and what stays as it was."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest
from sqlalchemy import Engine, select

from factory.catalogue import corrections
from factory.catalogue.corrections import Correction, read_corrections
from factory.catalogue.schema import labels
from factory.contracts import DatasetRef
from factory.errors import ProductUnknown
from factory.snapshots.store import read_frame

LATE = 40
"""A week that holds every product."""

Cut = Callable[[int], DatasetRef]


@pytest.fixture
def stocked(engine: Engine, stock: Callable[..., object], batch: Callable[..., pd.DataFrame]) -> Engine:
    """Forty products of two classes, k0 and k1."""
    stock(batch(*({"productid": f"{n}", "designation": f"thing {n}", "prdtypecode": f"k{n % 2}"} for n in range(40))))
    return engine


def recorded(engine: Engine) -> list[Correction]:
    with engine.connect() as connection:
        return read_corrections(connection)


def test_two_classes_become_one_in_the_next_cut_and_every_product_is_on_record(stocked: Engine, cut: Cut) -> None:
    assert corrections.merge_class(stocked, "k1", "k0", "ann") == 20
    assert set(read_frame(cut(LATE))["target"]) == {"k0"}
    found = recorded(stocked)
    assert {(each.kind, each.corrected_by) for each in found} == {("relabel", "ann")}
    assert [(each.before, each.after) for each in found] == [({"prdtypecode": "k1"}, {"prdtypecode": "k0"})] * 20


def test_a_label_that_a_product_bears_already_is_no_correction(stocked: Engine) -> None:
    assert corrections.relabel(stocked, ["1", "2", "2"], "k1", "ann") == 1
    assert corrections.relabel(stocked, ["1", "2"], "k1", "ann") == 0
    assert [each.productid for each in recorded(stocked)] == ["2"]


def test_a_lost_label_is_given_anew(stocked: Engine) -> None:
    with stocked.begin() as connection:
        connection.execute(labels.delete().where(labels.c.productid == "3"))
    assert corrections.relabel(stocked, ["3"], "k1", "ann") == 1
    with stocked.connect() as connection:
        assert connection.scalar(select(labels.c.prdtypecode).where(labels.c.productid == "3")) == "k1"


def test_a_deleted_product_is_gone_from_the_next_cut_and_not_from_the_one_that_stands(
    stocked: Engine, cut: Cut
) -> None:
    stands = cut(LATE)
    assert corrections.remove(stocked, ["5", "6"], "ann") == 2
    assert {"5", "6"}.isdisjoint(read_frame(cut(LATE + 1))["entity_id"])
    assert {"5", "6"} <= set(read_frame(stands)["entity_id"])
    assert recorded(stocked)[0].before["designation"] == "thing 5"


def test_a_changed_text_is_cut_and_grouped_anew(stocked: Engine, cut: Cut) -> None:
    before = read_frame(cut(LATE)).set_index("entity_id")
    assert corrections.change(stocked, "7", {"designation": "THING 8"}, "ann")
    assert not corrections.change(stocked, "7", {"designation": "THING 8"}, "ann")
    after = read_frame(cut(LATE + 1)).set_index("entity_id")
    assert after.loc["7", "designation"] == "THING 8"
    assert before.loc["7", "text_key"] != before.loc["8", "text_key"] == after.loc["7", "text_key"]
    [change] = recorded(stocked)
    assert (change.before, change.after) == ({"designation": "thing 7"}, {"designation": "THING 8"})


@pytest.mark.parametrize(
    "act",
    [
        lambda engine: corrections.relabel(engine, ["1", "nobody"], "k0", "ann"),
        lambda engine: corrections.remove(engine, ["1", "nobody"], "ann"),
        lambda engine: corrections.change(engine, "nobody", {"designation": "x"}, "ann"),
        lambda engine: corrections.merge_class(engine, "nothing", "k0", "ann"),
    ],
)
def test_what_is_not_there_is_named_and_nothing_is_done(stocked: Engine, act: Callable[[Engine], object]) -> None:
    with pytest.raises(ProductUnknown, match=r"'nobody'|'nothing'"):
        act(stocked)
    assert recorded(stocked) == []


@pytest.mark.parametrize("columns", [{"productid": "9"}, {"designation": " "}])
def test_what_cannot_be_changed_is_refused(stocked: Engine, columns: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="cannot be"):
        corrections.change(stocked, "7", columns, "ann")


def test_a_label_is_what_it_would_be_in_a_file(stocked: Engine) -> None:
    assert corrections.relabel(stocked, ["1", "2"], " k1 ", "ann") == 1
    for spelling in ("NULL", " n/a "):
        with pytest.raises(ValueError, match="stands for a missing label"):
            corrections.relabel(stocked, ["1"], spelling, "ann")
    with stocked.begin() as connection:  # a file may have been read with other spellings of missing values
        connection.execute(labels.update().where(labels.c.productid == "3").values(prdtypecode="NA"))
    assert corrections.merge_class(stocked, "k0", "NA", "ann") == 19


def test_a_blank_group_or_description_is_none(stocked: Engine) -> None:
    assert corrections.change(stocked, "7", {"group_id": "g"}, "ann")
    assert corrections.change(stocked, "7", {"group_id": " ", "description": "\t"}, "ann")
    assert recorded(stocked)[0].after == {"group_id": None}
