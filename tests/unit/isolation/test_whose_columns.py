"""A use case's columns stand in its own files: what is made for any use case finds them by its declaration.

Its own are the declaration and pure modules that bear its name, such as `factory/sources/simulated_songs.py`.

A name of several words (`total_charges`) can be told from all others. One of a single word (`state`, `weight`) may mean
anything in code that knows nothing of the use case, and is not looked at.

Texts are older than declarations: their tables have the names that the world knows them by, and the modules that read
and write these tables say them. Which ones do is listed here, and the list may only become shorter.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from factory import use_cases
from factory.use_cases.sources import Entities
from factory.use_cases.use_case import UseCase

CHECKOUT = Path(__file__).resolve().parents[3]
PACKAGES = ("bridge", "dags", "factory", "flows", "plugins", "stack")
TEXT_COLUMNS = {"productid", "imageid", "designation", "prdtypecode"}
OF_TEXTS = {
    "factory/catalogue": "the tables and what is written to them, migrations included",
    "factory/cli.py": "commands that load and correct products",
    "factory/grouping": "which texts are near each other",
    "factory/quality": "checks of a week of texts",
    "factory/records/predictions.py": "the table inference_log",
    "factory/records/scored_before.py": "the table inference_log",
    "factory/snapshots/known_rows.py": "snapshots of before a text's key was kept",
    "factory/snapshots/names.py": "what snapshots call what the tables call otherwise",
    "factory/snapshots/store.py": "how a snapshot of texts was packed: other settings would be another file",
    "factory/snapshots/text_rows.py": "the rows of a week of texts",
    "factory/sources": "files of products, the sample and the simulation",
    "factory/test_sets": "frozen test sets of texts",
    "factory/text.py": "what a product's text is",
    "factory/use_cases/products.py": "the declaration",
    "flows/adapters/datasets.py": "where a product's text is made of its columns",
    "flows/core/evaluation.py": "the table of a text model's worst errors, as people know it",
}


@cache
def said_by_module() -> dict[str, set[str]]:
    """What stands in the code of every module of the project, by its path; read once, for there are hundreds."""
    files = [path for package in PACKAGES for path in sorted((CHECKOUT / package).rglob("*.py"))]
    return {path.relative_to(CHECKOUT).as_posix(): said(ast.parse(path.read_text())) for path in files}


def said(module: ast.Module) -> set[str]:
    """The texts and names that stand in the code, docstrings left out."""
    prose = {id(node.value) for node in ast.walk(module) if isinstance(node, ast.Expr)}
    found = set()
    for node in ast.walk(module):
        match node:
            case ast.Constant(value=str(text)) if id(node) not in prose:
                found.add(text)
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name) | ast.keyword(arg=str(name)):
                found.add(name)
            case _:
                pass
    return found


def columns_of(use_case: UseCase) -> set[str]:
    """What can be told of a table with its outcomes: its name, its key, its target and its columns."""
    source = use_case.entities
    declared = (column.name for column in source.columns)
    names = (source.table, source.outcomes, source.key, *(model.task.target for model in use_case.models), *declared)
    return {name for name in names if "_" in name}


def is_own(path: str, use_case: UseCase) -> bool:
    """Whether the module bears the use case's name."""
    return Path(path).stem == use_case.name or Path(path).stem.endswith(f"_{use_case.name}")


@pytest.mark.parametrize(
    "use_case",
    [each for each in use_cases.ALL if isinstance(each.source, Entities)],
    ids=lambda use_case: use_case.name,
)
def test_columns_of_entities_stand_in_the_use_cases_own_file_alone(use_case: UseCase) -> None:
    columns = columns_of(use_case)
    naming = {path: found for path, names in said_by_module().items() if (found := names & columns)}
    elsewhere = {path: found for path, found in naming.items() if not is_own(path, use_case)}

    assert f"factory/use_cases/{use_case.name}.py" in naming
    assert elsewhere == {}, "take them from the declaration: use_cases.get(name).entities"


def test_columns_of_texts_stand_where_texts_are_read_and_written() -> None:
    naming = {path for path, names in said_by_module().items() if names & TEXT_COLUMNS}

    def owner(path: str) -> str | None:
        return next((own for own in OF_TEXTS if path == own or path.startswith(f"{own}/")), None)

    assert {path for path in naming if owner(path) is None} == set(), "say entity_id, text and target"
    assert set(OF_TEXTS) == {owner(path) for path in naming}, "the list names what no longer names a column"


def test_neither_dags_nor_the_page_nor_the_stack_own_any() -> None:
    assert not [own for own in OF_TEXTS if own.startswith(("bridge", "dags", "plugins", "stack"))]
