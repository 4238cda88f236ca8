"""One declarative file a use case; `get` finds them by name, with what a person has set of them (`own`)."""

from __future__ import annotations

import os
from collections.abc import Mapping

from factory.use_cases import own
from factory.use_cases.churn import CHURN
from factory.use_cases.clock import WEEKS, Clock
from factory.use_cases.products import PRODUCTS
from factory.use_cases.use_case import UseCase

ALL: tuple[UseCase, ...] = (PRODUCTS, CHURN)
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
    """The clock of the use case of that name; weeks for one that is not declared any more.

    How it writes a period; who counts moments asks `since` for the setting's epoch.
    """
    return next((use_case.clock for use_case in ALL if use_case.name == name), WEEKS)
