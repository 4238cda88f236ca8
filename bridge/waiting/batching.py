"""Questions that several ask within a moment, asked of Prefect in one request.

Knows nothing of what is asked. An answer comes from a request that was begun after the question.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, TypeVar

from bridge.errors import BridgeError, UnexpectedAnswer

T = TypeVar("T")


class Batcher(Generic[T]):
    """Gathers keys for `gather_seconds` and asks for up to `most` of them at once.

    While many ask, a request follows another after `spacing_seconds` at the earliest. `read` gives each key's answer,
    or the error that is this key's alone; what it raises goes to all that it was asked for.
    """

    def __init__(
        self,
        read: Callable[[Sequence[str]], Awaitable[Mapping[str, T | BridgeError]]],
        *,
        gather_seconds: float,
        spacing_seconds: float,
        most: int,
    ) -> None:
        self._read = read
        self._gather_seconds = gather_seconds
        self._spacing_seconds = spacing_seconds
        self._most = most
        self._asked: dict[str, asyncio.Future[T | BridgeError]] = {}
        self._begun_at = float("-inf")
        self._asking: asyncio.Task[None] | None = None

    async def ask(self, key: str) -> T:
        """The answer for this key; raises its error, or that of the request."""
        loop = asyncio.get_running_loop()
        future = self._asked.setdefault(key, loop.create_future())
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask_all())
        # Shielded: one who goes away does not take the answer from the others.
        answer = await asyncio.shield(future)
        if isinstance(answer, BridgeError):
            raise answer
        return answer

    async def _ask_all(self) -> None:
        loop = asyncio.get_running_loop()
        while self._asked:
            ready_at = self._begun_at + self._spacing_seconds
            await asyncio.sleep(max(self._gather_seconds, ready_at - loop.time()))
            keys = list(self._asked)[: self._most]
            asked = {key: self._asked.pop(key) for key in keys}
            self._begun_at = loop.time()
            try:
                answers = await self._read(keys)
                for key, future in asked.items():
                    future.set_result(answers[key])
            except BridgeError as error:
                for future in asked.values():
                    future.set_result(copy_error(error))
            finally:
                for key, future in asked.items():
                    if not future.done():  # a defect of our own, or the event loop is closing
                        future.set_result(UnexpectedAnswer(f"Asking Prefect about {key} broke down"))


def copy_error(error: BridgeError) -> BridgeError:
    """The same error once more. One that is raised by many would gather the tracebacks of all."""
    copied = type(error)(*error.args, **vars(error))
    copied.__cause__ = error.__cause__
    return copied
