"""One declarative file a use case; `get` finds them by name, with what a person has set of them (`own`)."""

from __future__ import annotations

import os
from collections.abc import Mapping

from factory.use_cases import own
from factory.use_cases.churn import CHURN
from factory.use_cases.clock import WEEKS, Clock
from factory.use_cases.deals import DEALS
from factory.use_cases.market import MARKET
from factory.use_cases.products import PRODUCTS
from factory.use_cases.songs import SONGS
from factory.use_cases.use_case import Declared, UseCase

ALL: tuple[UseCase, ...] = (PRODUCTS, CHURN, DEALS, MARKET, SONGS)
"""As the package declares them; what holds in this process is what `current` and `get` give."""


def current(environ: Mapping[str, str] = os.environ) -> tuple[UseCase, ...]:
    """Every use case as it holds now; raises SettingsError when the file of own settings cannot be used."""
    return own.lay_over(ALL, environ)


def get(name: str, environ: Mapping[str, str] = os.environ) -> UseCase:
    """The use case of that name as it holds now; raises KeyError naming those that exist, and SettingsError."""
    for use_case in current(environ):
        if use_case.name == name:
            return use_case
    raise KeyError(f"no use case {name!r}; there are: {', '.join(u.name for u in ALL)}")


def clock_of(name: str) -> Clock:
    """The clock of the use case, or of the model, of that name; weeks for one that is not declared any more.

    How it writes a period; who counts moments asks `since` for the setting's epoch.
    """
    clocks = {model.name: use_case.clock for use_case in ALL for model in use_case.models}
    return (clocks | {use_case.name: use_case.clock for use_case in ALL}).get(name, WEEKS)


def get_model(name: str, environ: Mapping[str, str] = os.environ) -> Declared:
    """The model of that name, with its use case, as both hold now; raises KeyError and SettingsError as `get` does."""
    for use_case in current(environ):
        for model in use_case.models:
            if model.name == name:
                return Declared(use_case, model)
    raise KeyError(f"no model {name!r}; there are: {', '.join(model.name for u in ALL for model in u.models)}")


def models_of(use_case: str, environ: Mapping[str, str] = os.environ) -> tuple[Declared, ...]:
    """All models of the use case of that name, in the order in which they are declared; raises as `get` does."""
    found = get(use_case, environ)
    return tuple(Declared(found, model) for model in found.models)


def choose_model(use_case: str, model: str | None, environ: Mapping[str, str] = os.environ) -> Declared:
    """The use case's model of that name, its only one where none is named; raises ValueError, and as `get` does."""
    known = {each.name: each for each in models_of(use_case, environ)}
    if model is None and len(known) == 1:
        return next(iter(known.values()))
    if model is None or model not in known:
        said = f"{use_case} has several models, name one" if model is None else f"{use_case} has no model {model!r}"
        raise ValueError(f"{said}: {', '.join(known)}")
    return known[model]
