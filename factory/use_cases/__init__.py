"""One declarative file a use case; `get` finds them by name."""

from __future__ import annotations

from factory.use_cases.products import PRODUCTS
from factory.use_cases.use_case import UseCase

ALL: tuple[UseCase, ...] = (PRODUCTS,)


def get(name: str) -> UseCase:
    """The use case of that name; raises KeyError naming those that exist."""
    for use_case in ALL:
        if use_case.name == name:
            return use_case
    raise KeyError(f"no use case {name!r}; there are: {', '.join(u.name for u in ALL)}")
