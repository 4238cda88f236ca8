"""What a file sets for a use case holds; what it cannot set is refused with file, key and value."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from factory import use_cases
from factory.cli import main
from factory.settings import SettingsError
from factory.use_cases import own
from factory.use_cases.columns import Column
from factory.use_cases.products import PRODUCTS
from tests.called import called

(MODEL,) = PRODUCTS.models


def set_by(path: Path, text: str) -> Mapping[str, str]:
    path.write_text(text, "utf-8")
    return {own.VARIABLE: str(path)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "my.toml"


def test_without_a_file_a_use_case_is_as_the_package_declares_it() -> None:
    assert use_cases.get("products", {}) == use_cases.get("products", {own.VARIABLE: ""}) == PRODUCTS


def test_what_the_file_sets_holds_and_all_else_stays(path: Path) -> None:
    environ = set_by(
        path,
        '\ufeff[products]\nexpected_words = ["Crate "]\ncandidates = ["svm-words"]\nencoding_alarm = 1\n'
        "[products.gate]\nfloor = 0.6\napproval = true\n",
    )

    assert use_cases.get("products", environ) == replace(
        PRODUCTS,
        expected_words=("crate",),
        encoding_alarm=1.0,
        models=(replace(MODEL, candidates=("svm-words",), gate=replace(MODEL.gate, floor=0.6, approval=True)),),
    )
    assert own.keys_set("products", environ) == {
        "expected_words",
        "candidates",
        "encoding_alarm",
        "gate.floor",
        "gate.approval",
    }


def test_a_changed_file_is_read_again(path: Path) -> None:
    environ = set_by(path, "[products.gate]\nfloor = 0.6\n")
    assert use_cases.get_model("products", environ).model.gate.floor == 0.6
    set_by(path, "[products.gate]\nfloor = 0.875\n")
    assert use_cases.get_model("products", environ).model.gate.floor == 0.875


def test_every_value_that_the_package_declares_may_be_set(path: Path) -> None:
    tables = own.values(PRODUCTS)
    top = [f"{key} = {json.dumps(value)}" for key, value in tables.items() if "." not in key]
    gate = [f"{key} = {json.dumps(value)}" for key, value in tables.items() if "." in key]

    assert use_cases.get("products", set_by(path, "\n".join(["[products]", *top, *gate]))) == PRODUCTS


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[products.gate]\nfloor = 1.5", "products.gate.floor = 1.5: input should be less than or equal to 1"),
        ("[products.gate]\nfloor = -0.1", "products.gate.floor = -0.1: input should be greater"),
        ("[products.gate]\nfloor = nan", "products.gate.floor = nan: input should be a finite number"),
        ("[products.gate]\nfloor = inf", "products.gate.floor = inf: input should be"),
        ('[products.gate]\nfloor = "0.6"', "products.gate.floor = '0.6': input should be a valid number"),
        ("[products.gate]\nfloor = true", "products.gate.floor = True: input should be a valid number"),
        ("[products.gate]\nfloor = 2026-01-05", "products.gate.floor = '2026-01-05': input should be"),
        ("[products.gate]\nconfidence = 1", "products.gate.confidence = 1: input should be less than 1"),
        ("[products.gate]\napproval = 1", "products.gate.approval = 1: input should be a valid boolean"),
        ("[products.gate]\nflor = 0.6", "products.gate.flor = 0.6: there is no such key; did you mean floor?"),
        ("[products]\ngate = 0.6", "products.gate = 0.6: "),
        (
            "[products]\nfloor = 0.6",
            "products.floor = 0.6: there is no such key; there are title, near_duplicate_alarm",
        ),
        ("[products]\nexpected_word = []", "did you mean expected_words?"),
        ('[products]\nexpected_words = "crate"', "products.expected_words = 'crate': input should be a valid "),
        ('[products]\nexpected_words = ["a", 2]', "products.expected_words.1 = 2: input should be a valid string"),
        ('[products]\nexpected_words = [" "]', "products.expected_words.0 = ' ': string should have at least 1"),
        ('[products]\ncandidates = ["a", "a"]', "products.candidates = ['a', 'a']: named twice: a"),
        ("[products]\nmin_class_rows = 2.5", "products.min_class_rows = 2.5: input should be a valid integer"),
        ("[products]\nmin_class_rows = 0", "products.min_class_rows = 0: input should be greater"),
        ('[products]\ndag_id = "x"', "products.dag_id = 'x': stored things are found by it, it cannot be set"),
        ("[product]\nmin_class_rows = 2", "[product]: there is no such use case, there are products"),
        ("floor = 0.6", "floor = 0.6: it stands in no table, begin one with [products]"),
        ("products = 3", "products = 3: it stands in no table"),
        ("[products]\nmin_class_rows = \n", "is no TOML: Invalid value (at line 2, column 18)"),
        ("[products]\n[products]", "is no TOML: Cannot declare"),
    ],
)
def test_what_cannot_be_set_is_refused_with_file_key_value_and_remedy(path: Path, text: str, said: str) -> None:
    with pytest.raises(SettingsError) as refused:
        use_cases.get("products", set_by(path, text))

    message = str(refused.value)
    assert message.startswith(str(path))
    assert said in message
    assert "Mend it, or name another file by USE_CASE_SETTINGS or --settings" in message


TUNES = replace(PRODUCTS, name="tunes", models=tuple(replace(MODEL, name=name) for name in ("genre", "energy")))


@pytest.fixture
def several(monkeypatch: pytest.MonkeyPatch) -> None:
    """A use case with two models beside the others."""
    monkeypatch.setattr(use_cases, "ALL", (*use_cases.ALL, TUNES))


@pytest.mark.usefixtures("several")
def test_of_several_models_each_has_a_table_of_its_own(path: Path) -> None:
    environ = set_by(path, "[tunes]\nencoding_alarm = 1\n[tunes.models.energy.gate]\nfloor = 0.6\n")

    genre, energy = use_cases.models_of("tunes", environ)
    assert (genre.model, genre.use_case.encoding_alarm) == (TUNES.models[0], 1)
    assert energy.model == replace(TUNES.models[1], gate=replace(MODEL.gate, floor=0.6))
    assert own.keys_set("tunes", environ) == {"encoding_alarm", "models.energy.gate.floor"}
    assert own.values(energy.use_case)["models.energy.gate.floor"] == 0.6


@pytest.mark.usefixtures("several")
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[tunes.gate]\nfloor = 0.6", "tunes.gate = {'floor': 0.6}: there is no such key"),
        (
            "[tunes.models.tempo]\ncandidates = []",
            "[tunes.models.tempo]: there is no such model, there are",
        ),
        ("[tunes]\nmodels = 3", "tunes.models = 3: each model has a table of its own, such as [tunes.models.genre]"),
        ("[tunes.models]\ngenre = 3", "each model has a table of its own"),
        ("[tunes.models.genre.gate]\nfloor = 2", "tunes.models.genre.gate.floor = 2: input should be less"),
        (
            "[tunes.models.genre]\nname = 'x'",
            "tunes.models.genre.name = 'x': there is no such key",
        ),
        ("[products.models.products]\ncandidates = []", "it has one model, whose keys stand in [products] itself"),
    ],
)
def test_what_cannot_be_set_of_a_model_is_refused(path: Path, text: str, said: str) -> None:
    with pytest.raises(SettingsError) as refused:
        use_cases.get("tunes", set_by(path, text))
    assert said in str(refused.value)


@pytest.mark.usefixtures("several")
def test_a_model_is_chosen_by_name_where_there_are_several() -> None:
    assert use_cases.choose_model("products", None).name == "products"
    assert use_cases.choose_model("tunes", "energy").options == "--use-case tunes --model energy"
    with pytest.raises(ValueError, match="tunes has several models, name one: genre, energy"):
        use_cases.choose_model("tunes", None)
    with pytest.raises(ValueError, match="products has no model 'energy': products"):
        use_cases.choose_model("products", "energy")


def test_no_two_models_bear_one_name_and_each_learns_from_declared_columns() -> None:
    names = [model.name for use_case in use_cases.ALL for model in use_case.models]
    assert len(names) == len(set(names))
    churn = use_cases.get("churn")
    with pytest.raises(ValueError, match="churn learns from tenur, which churn does not declare"):
        replace(churn, models=(replace(churn.models[0], features=("tenur",)),))
    with pytest.raises(ValueError, match="table 'customers' need other names than score: these are taken"):
        replace(churn.entities, columns=(Column("score", "number"),))


def test_everything_wrong_is_said_at_once(path: Path) -> None:
    with pytest.raises(SettingsError, match=r"min_class_rows(.|\n)*gate\.floor"):
        use_cases.get("products", set_by(path, "[products]\nmin_class_rows = 0\ngate.floor = 2\n"))


@pytest.mark.parametrize("kind", ["absent", "folder", "latin-1"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    if kind == "folder":
        path.mkdir()
    if kind == "latin-1":
        path.write_bytes('[products]\ntitle = "Möbel"\n'.encode("latin-1"))

    with pytest.raises(
        SettingsError, match=rf"{kind} (cannot be read: No such|is no file|is not in UTF-8, see byte 22)"
    ):
        use_cases.get("products", {own.VARIABLE: str(path)})


def run(*arguments: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return called(main, *arguments, environment={**os.environ, "COLUMNS": "200", **environ}, cwd=cwd)


def test_the_command_shows_each_value_its_default_and_where_it_came_from(path: Path) -> None:
    set_by(path, "[products.gate]\nfloor = 0.6\n")

    shown = run("settings", "--settings", path.name, cwd=path.parent)
    assert shown.returncode == 0, shown.stderr
    lines = [" ".join(line.split()) for line in shown.stdout.splitlines()]
    assert lines[0] == f"own settings: {path}"
    assert "products gate.floor 0.6 0.75 file" in lines
    assert "products min_class_rows 2 2 default" in lines
    rows = json.loads(run("--settings", str(path), "settings", "--json", cwd=path.parent).stdout)
    assert {
        "use_case": "products",
        "key": "gate.floor",
        "value": 0.6,
        "default": 0.75,
        "from": str(path),
    } in rows


def test_a_file_that_cannot_be_used_ends_every_command_before_it_does_anything(path: Path) -> None:
    environ = set_by(path, "[products.gate]\nfloor = 6\n")
    database = path.parent / "catalogue.sqlite"

    ended = run("load", "sample", cwd=path.parent, DATABASE_URL=f"sqlite:///{database}", **environ)

    assert ended.returncode == 1
    assert "products.gate.floor = 6" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not database.exists()
