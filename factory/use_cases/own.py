"""What a person sets of a use case for data of their own, without editing the package.

Owns the TOML file that USE_CASE_SETTINGS names: one table a use case, laid over what the package declares.

    [products]
    expected_words = ["crate"]
    candidates = ["svm-words", "svm-characters"]

    [products.gate]
    floor = 0.6

Of a use case with several models each has a table of its own: [songs.models.songs-genre.gate].

Must not know which candidates there are: the flows check their names.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass, replace
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from factory.settings import SettingsError
from factory.use_cases.use_case import Model, UseCase

VARIABLE = "USE_CASE_SETTINGS"
MODELS = "models"
IDENTITY = (
    *("name", "dag_id", "source", MODELS, "clock", "split", "drift"),
    *("demo_begins", "demo_periods", "watch_schedule"),
)
"""What stored things and deployments were made of, and are found by: it stays as the package declares it."""

OF_A_MODEL = ("candidates", "gate")
"""What can be set of a model."""

_STRICT = ConfigDict(strict=True, allow_inf_nan=False)
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
    whole = asdict(use_case)
    models = {model["name"]: {key: model[key] for key in OF_A_MODEL} for model in whole.pop(MODELS)}
    mine = {key: value for key, value in whole.items() if key not in IDENTITY}
    return _flat(mine | (models[use_case.models[0].name] if len(models) == 1 else {MODELS: models}))


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
            if key in table and key != MODELS
        ],
    )
    of_models = _tables_of_models(declared, table, path)
    mine = {key: value for key, value in table.items() if key != MODELS and key not in of_models.get("", {})}
    keys = [name for name in _keys(UseCase) if name not in IDENTITY]
    alone = len(declared.models) == 1
    found, wrong = _read_values(declared, mine, place, keys, [*keys, *OF_A_MODEL] if alone else keys)
    models = []
    for model in declared.models:
        inner, where = (of_models[""], place) if alone else (of_models[model.name], f"{place}.{MODELS}.{model.name}")
        values_of_model, more = _read_values(model, inner, where, OF_A_MODEL, OF_A_MODEL)
        models.append(replace(model, **values_of_model))
        wrong += more
    _refuse(path, wrong)
    return replace(declared, **found, models=tuple(models))


def _tables_of_models(declared: UseCase, table: dict[str, Any], path: Path) -> dict[str, dict[str, Any]]:
    """What is set of each model by its name; of the only one it stands among the use case's own, under no name."""
    if len(declared.models) == 1:
        if MODELS in table:
            _refuse(path, [f"{declared.name}.{MODELS}: it has one model, whose keys stand in [{declared.name}] itself"])
        return {"": {key: value for key, value in table.items() if key in OF_A_MODEL}}
    names = [model.name for model in declared.models]
    found, place = table.get(MODELS, {}), f"{declared.name}.{MODELS}"
    if not isinstance(found, dict) or not all(isinstance(each, dict) for each in found.values()):
        _refuse(path, [f"{place} = {found!r}: each model has a table of its own, such as [{place}.{names[0]}]"])
    unknown = [name for name in found if name not in names]
    _refuse(path, [f"[{place}.{name}]: there is no such model, there are {', '.join(names)}" for name in unknown])
    return {name: found.get(name, {}) for name in names}


def _read_values(
    declared: UseCase | Model, table: Mapping[str, Any], place: str, keys: Sequence[str], known: Sequence[str]
) -> tuple[dict[str, Any], list[str]]:
    """The values of the table by their key, and what is wrong with the others; `known` are the keys that are told."""
    found, wrong = {}, []
    types = get_type_hints(type(declared), include_extras=True)
    for key, value in table.items():
        if key not in keys:
            wrong.append(f"{place}.{key} = {value!r}: {_no_such_key(key, known)}")
            continue
        before = getattr(declared, key)
        inner = [field.name for field in fields(before)] if is_dataclass(before) else []
        whole = {**asdict(before), **value} if inner and isinstance(value, dict) else value
        adapter: TypeAdapter[Any] = TypeAdapter(types[key], config=None if inner else _STRICT)
        try:
            # as JSON, where a list is a tuple's only form and a number in quotes stays none
            found[key] = adapter.validate_json(json.dumps(whole, default=str))
        except ValidationError as error:
            said = error.errors(include_url=False, include_context=False)
            wrong += [_explain(f"{place}.{key}", each, inner) for each in said]
    return found, wrong


def _explain(place: str, error: ErrorDetails, known: Sequence[str]) -> str:
    where = [str(part) for part in error["loc"]]
    key = ".".join([place, *where])
    if error["type"] == "unexpected_keyword_argument":
        return f"{key} = {error['input']!r}: {_no_such_key(where[-1], known)}"
    said = error["msg"].removeprefix("Value error, ")
    return f"{key} = {error['input']!r}: {said[0].lower()}{said[1:]}"


def _no_such_key(key: str, known: Sequence[str]) -> str:
    near = get_close_matches(key, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    return f"there is no such key; {hint}"


def _keys(declared: type[UseCase]) -> list[str]:
    return [each.name for each in fields(declared)]


def _flat(table: Mapping[str, Any]) -> dict[str, Any]:
    return dict(_leaves(table))


def _leaves(table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from ((f"{key}.{inner}", each) for inner, each in _leaves(value))
        else:
            yield key, value


def _refuse(path: Path, wrong: list[str]) -> None:
    if wrong:
        raise SettingsError(_message(path, wrong))


def _message(path: Path, wrong: list[str]) -> str:
    return "\n".join([f"{path} cannot be used:", *(f"- {each}" for each in wrong), _REMEDY])
