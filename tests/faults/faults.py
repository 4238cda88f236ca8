"""What may become of a request or a websocket on its way, and who decides it. Words alone: `proxy` carries it out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

Kind = Literal[
    "pass",
    "cut before",
    "cut after",
    "cut midway",
    "delay",
    "hang",
    "twice",
    "echo",
    "status before",
    "status after",
    "page before",
    "page after",
    "truncated",
    "wrong length",
    "refuse",
    "words before",
    "words after",
    "redirect before",
    "redirect after",
    "drip",
]
SocketKind = Literal["pass", "refuse", "cut", "drop", "double", "delay"]
Phase = Literal["arrived", "carried out", "answered"]

OTHER_HOST = "localhost"
"""Another name than 127.0.0.1, at which the proxy is reached all the same, and sees who has come."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What becomes of one request.

    "before" leaves it undone; "after" lets the server carry it out and loses the answer. `seconds` is the length of a
    delay, of an echo's lateness, of a hang, of a refusal to listen and of an answer that drips; `retry_after_seconds`
    goes with a status, `words` (a key of WORDS) with "words", `host` with a redirect, whose `status` is 307 or 308.
    """

    kind: Kind = "pass"
    seconds: float = 0.0
    status: int = 503
    retry_after_seconds: int | None = None
    words: str = ""
    host: str = ""

    def __str__(self) -> str:
        told = [each for each in (self.kind, self.words, self.host) if each]
        if self.kind.startswith("status"):
            told.append(f"{self.status}, Retry-After {self.retry_after_seconds}")
        if self.seconds:
            told.append(f"{self.seconds} s")
        return ", ".join(told)


@dataclass(frozen=True, slots=True)
class SocketFault:
    """What becomes of one websocket: of the message that comes after `after_messages` others, and of no other."""

    kind: SocketKind = "pass"
    after_messages: int = 1
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"{self.kind} after {self.after_messages} messages, {self.seconds} s"


@dataclass(slots=True)
class Exchange:
    """One request that arrived, counted from 0; `status` is the server's, None where it did not answer."""

    index: int
    method: str
    path: str
    fault: Fault | SocketFault
    status: int | None = None
    host: str = ""
    is_over: bool = False
    endured: bool = False
    """Its sender has heard an answer that drips to its end."""

    @property
    def has_strayed(self) -> bool:
        """Whether a redirect to another host was followed."""
        return self.host.startswith(OTHER_HOST)

    def __str__(self) -> str:
        return f"{self.index:3} {self.method} {self.path} -> {self.status or 'nothing'}; {self.fault}"


class Faults(Protocol):
    """Who decides; called in the proxy's thread, in the order of arrival."""

    def for_request(self, index: int, path: str) -> Fault: ...

    def for_socket(self, index: int) -> SocketFault: ...

    def watch(self, exchange: Exchange, phase: Phase) -> None:
        """Told how far a request has come; processes are killed here."""
