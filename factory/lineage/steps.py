"""A step that tells of itself: a function of the data side with the job of which each call is a run.

Owns when a step is told of, and what a run is part of. Knows nothing of what steps do.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from typing import ParamSpec, TypeVar
from uuid import uuid4

from bridge.tracing import Lineage
from factory.lineage import sending
from factory.lineage.data import Data
from factory.lineage.events import Happening, Job, Kind, Run

P = ParamSpec("P")
R = TypeVar("R")

_part_of: ContextVar[Lineage | None] = ContextVar("what steps are part of", default=None)


@dataclass(frozen=True, slots=True)
class Account:
    """What a call is about: the name of its job, what it read and what it wrote, as far as that is known."""

    job: str
    inputs: tuple[Data, ...] = ()
    outputs: tuple[Data, ...] = ()


@contextmanager
def part_of(parent: Lineage) -> Iterator[None]:
    """Steps of this block are part of that run; else of the one that OPENLINEAGE_PARENT_ID names, or of none."""
    token = _part_of.set(parent)
    try:
        yield
    finally:
        _part_of.reset(token)


def step(account: Callable[..., Account]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Every call is told of, where somebody wants to hear: its start, and how it ended.

    `account` is called with what the step gave, None before the end and after an error, and with the call's own
    arguments; it opens nothing.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            if not sending.is_wanted():
                return function(*args, **kwargs)
            begun = account(None, *args, **kwargs)
            parent = _part_of.get() or Lineage.of_environment(os.environ)
            run = Run(Job(begun.job), str(uuid4()), parent)
            sent = [sending.send(Happening("START", run, begun.inputs, begun.outputs))]
            try:
                result = function(*args, **kwargs)
            except BaseException as error:  # an interrupted step ends, too; raised again
                kind: Kind = "FAIL" if isinstance(error, Exception) else "ABORT"
                said = str(error) or type(error).__name__
                sent.append(sending.send(Happening(kind, run, begun.inputs, begun.outputs, said)))
                sending.settle(begun.job, sent)
                raise
            ended = account(result, *args, **kwargs)
            sent.append(sending.send(Happening("COMPLETE", run, ended.inputs, ended.outputs)))
            sending.settle(begun.job, sent)
            return result

        return call

    return decorate
