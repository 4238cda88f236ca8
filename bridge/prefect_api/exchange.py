"""A request to Prefect and its answer, without I/O: their forms, and how an answer is read.

Knows nothing of what is asked (`bridge.prefect_api.wire`) nor of who sends it (`bridge.prefect_api.client`).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeVar

from bridge.errors import PrefectApiError, PrefectUnauthorised, UnexpectedAnswer

PAGE = 200
"""Prefect refuses a filter of more ids, or a page of more rows, with 422."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Request:
    """`repeatable`: asking twice has the effect of asking once, so that a lost answer may be asked for again.

    `after_seconds` is a pause before it is sent.
    """

    method: str
    path: str
    json: Mapping[str, Any] | None = None
    repeatable: bool = True
    after_seconds: float = 0.0


class AnswerUndecodable(UnexpectedAnswer):
    """An answer cannot be decoded, for its depth or a number of too many digits: what came with it is spoilt too."""


@dataclass(frozen=True, slots=True)
class Undecodable:
    """Stands for a body that cannot be decoded."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`body` is the decoded JSON, the text where it is none, or `Undecodable`."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)
    url: str = ""
    """Where it came from, after redirects; "" where that is not known."""


Operation = Generator[Request, Answer, T]
"""Yields requests, is sent their answers, returns what it learned."""


def can_be_prefects(request: Request, body: Any) -> bool:
    """Whether a success may be Prefect's answer to the request; an empty one, or a stranger's JSON, is none."""
    if isinstance(body, Undecodable):
        return True
    for end, is_of_form in _FORMS:
        if request.path.endswith(f"/{end}"):
            return is_of_form(body)
    return isinstance(body, dict) and {"id", "name"} <= body.keys()


_FORMS: tuple[tuple[str, Callable[[Any], bool]], ...] = (
    ("events/filter", lambda body: isinstance(body, dict) and "events" in body),
    ("filter", lambda body: isinstance(body, list)),
    ("paginate", lambda body: isinstance(body, dict) and "results" in body),
    ("bulk_set_state", lambda body: isinstance(body, dict) and "results" in body),
    ("set_state", lambda body: isinstance(body, dict) and "status" in body),
    ("pause_deployment", lambda body: body is None),
    ("resume_deployment", lambda body: body is None),
    ("labels", lambda body: body is None),
    ("version", lambda body: isinstance(body, str)),
)
"""The form of each answer by the end of its path; any other is one thing with an id and a name."""


def pages(path: str, wanted: Mapping[str, Any], parse: Callable[[Mapping[str, Any]], T]) -> Operation[list[T]]:
    """Every row of a filter, page by page."""
    found: list[T] = []
    while True:
        answer = yield Request("POST", path, {**wanted, "limit": PAGE, "offset": len(found)})
        page = parsed_rows(answer, parse)
        found += page
        if len(page) < PAGE:
            return found


def parsed(answer: Answer, parse: Callable[[Mapping[str, Any]], T]) -> T:
    """What `parse` makes of the answer; raises UnexpectedAnswer where it cannot, PrefectApiError for a refusal."""
    body = body_of(answer)
    try:
        return parse(body)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UnexpectedAnswer(f"Prefect's answer lacks what was expected ({error!r}): {str(body)[:300]}") from error


def parsed_rows(answer: Answer, parse: Callable[[Mapping[str, Any]], T]) -> list[T]:
    """What `parse` makes of each row of the answer's list; raises as `parsed` does."""
    return [parsed(Answer(answer.status, row), parse) for row in rows(answer)]


def rows(answer: Answer) -> list[Any]:
    """The answer's list, its rows unchecked; raises UnexpectedAnswer where it is none, PrefectApiError if refused."""
    body = body_of(answer)
    if not isinstance(body, list):
        raise UnexpectedAnswer(f"Prefect answered with something else than a list: {str(body)[:300]}")
    return body


def body_of(answer: Answer) -> Any:
    """The answer's body; raises PrefectUnauthorised or PrefectApiError for a refusal, AnswerUndecodable."""
    if not 200 <= answer.status < 300:
        _refuse(answer)
    if isinstance(answer.body, Undecodable):
        raise AnswerUndecodable("it is nested too deep, or holds a number of too many digits, to be decoded")
    return answer.body


def _refuse(answer: Answer) -> NoReturn:
    if answer.status in {401, 403}:
        raise PrefectUnauthorised(
            f"Prefect refused the credentials (HTTP {answer.status}). Check the connection's key or user:password"
        )
    raise PrefectApiError(f"Prefect answered HTTP {answer.status}: {detail_of(answer)}")


def detail_of(answer: Answer) -> str:
    """A refusal in the server's own words."""
    body = answer.body
    if isinstance(body, dict):
        body = body.get("detail") or body.get("exception_message") or body
    return str(body)[:1000]
