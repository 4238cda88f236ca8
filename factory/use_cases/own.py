"""What a person sets of a use case for data of their own, without editing the package.

Owns the TOML file that USE_CASE_SETTINGS names: one table a use case, laid over what the package declares.

    [products]
    expected_words = ["crate"]
    candidates = ["svm-words", "svm-characters"]

    [products.gate]
    floor = 0.6

Must not know which candidates there are: the flows check their names.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields, replace
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from factory.settings import SettingsError
from factory.use_cases.use_case import Gate, UseCase

VARIABLE = "USE_CASE_SETTINGS"
IDENTITY = (
    "name",
    "model_name",
    "experiment",
    "dag_id",
    "source",
    "task",
    "clock",
    "split",
    "drift",
    "demo_begins",
    "watch_schedule",
)
"""What stored things and deployments were made of, and are found by: it stays as the package declares it."""

_DECLARED = ("clock", "split", "drift")
"""What is no plain value: it is not read from the file's JSON, but stays the object that it is."""
_NOT_SET: tuple[str, ...] = (*IDENTITY, "gate")
_REMEDY = (
    f"Mend it, or name another file by {VARIABLE} or --settings; without one, "
    "`python -m factory settings` shows every key with its default."
)


def settings_file(environ: Mapping[str, str] = os.environ) -> Path | None:
    """The file that is set, as an absolute path; None where none is."""
    named = environ.get(VARIABLE)
    return Path(named).expanduser().absolute() if named else None


def lay_over(declared: tuple[UseCase, ...], environ: Mapping[str, str] = os.environ) -> tuple[UseCase, ...]:
    """The use cases with what the file sets; raises SettingsError naming the file, the key and its value.

    A file is read again only when it has changed.
    """
    path = settings_file(environ)
    if path is None:
        return declared
    return _laid_over(declared, path, _stamp(path))


def keys_set(name: str, environ: Mapping[str, str] = os.environ) -> frozenset[str]:
    """The keys that the file sets for the use case of that name, those of its gate as `gate.floor`."""
    path = settings_file(environ)
    table = _read(path, _stamp(path)).get(name, {}) if path else {}
    return frozenset(_flat(table))


def values(use_case: UseCase) -> dict[str, Any]:
    """Everything of a use case that can be set, by its key."""
    return {key: value for key, value in _flat(asdict(use_case)).items() if key.partition(".")[0] not in IDENTITY}


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}. {_REMEDY}") from error
    return found.st_mtime_ns, found.st_size, found.st_ino


@lru_cache(maxsize=8)
def _laid_over(declared: tuple[UseCase, ...], path: Path, stamp: tuple[int, int, int]) -> tuple[UseCase, ...]:
    tables = _read(path, stamp)
    names = [each.name for each in declared]
    wrong = [
        f"{key} = {value!r}: it stands in no table, begin one with [{names[0]}]"
        if not isinstance(value, dict)
        else f"[{key}]: there is no such use case, there are {', '.join(names)}"
        for key, value in tables.items()
        if key not in names or not isinstance(value, dict)
    ]
    _refuse(path, wrong)
    return tuple(_laid_over_one(each, tables.get(each.name, {}), path) for each in declared)


@lru_cache(maxsize=8)
def _read(path: Path, stamp: tuple[int, int, int]) -> dict[str, Any]:  # noqa: ARG001 - the stamp is the cache's key
    if not path.is_file():
        raise SettingsError(f"{path} is no file. {_REMEDY}")
    try:
        return tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}. {_REMEDY}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not in UTF-8, see byte {error.start + 1}. {_REMEDY}") from error
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{path} is no TOML: {error}. {_REMEDY}") from error


def _laid_over_one(declared: UseCase, table: dict[str, Any], path: Path) -> UseCase:
    place = declared.name
    _refuse(
        path,
        [
            f"{place}.{key} = {table[key]!r}: stored things are found by it, it cannot be set; take it out"
            for key in IDENTITY
            if key in table
        ],
    )
    kept = {key: getattr(declared, key) for key in _DECLARED}
    before = {key: value for key, value in asdict(declared).items() if key not in _DECLARED}
    whole = {**before, **table}
    if isinstance(gate := table.get("gate"), dict):
        whole["gate"] = {**before["gate"], **gate}
    try:
        # as JSON, where a list is a tuple's only form and a number in quotes stays none
        found = TypeAdapter(UseCase).validate_json(json.dumps(whole, default=str))
    except ValidationError as error:
        said = [_explain(place, each) for each in error.errors(include_url=False, include_context=False)]
        raise SettingsError(_message(path, said)) from error
    return replace(found, source=declared.source, task=declared.task, **kept)


def _explain(place: str, error: ErrorDetails) -> str:
    where = [str(part) for part in error["loc"]]
    key = ".".join([place, *where])
    if error["type"] == "unexpected_keyword_argument":
        known = _keys(Gate) if where[0] == "gate" else [name for name in _keys(UseCase) if name not in _NOT_SET]
        near = get_close_matches(where[-1], known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
        return f"{key} = {error['input']!r}: there is no such key; {hint}"
    said = error["msg"].removeprefix("Value error, ")
    return f"{key} = {error['input']!r}: {said[0].lower()}{said[1:]}"


def _keys(declared: type[Gate] | type[UseCase]) -> list[str]:
    return [each.name for each in fields(declared)]


def _flat(table: Mapping[str, Any]) -> dict[str, Any]:
    return dict(_leaves(table))


def _leaves(table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from ((f"{key}.{inner}", each) for inner, each in value.items())
        else:
            yield key, value


def _refuse(path: Path, wrong: list[str]) -> None:
    if wrong:
        raise SettingsError(_message(path, wrong))


def _message(path: Path, wrong: list[str]) -> str:
    return "\n".join([f"{path} cannot be used:", *(f"- {each}" for each in wrong), _REMEDY])
