"""What an operator's argument may be: said when the DAG is parsed, and again when a template has been rendered.

`ArgumentRefused` is a ValueError where a DAG file is parsed; in a running task it fails the task without a retry, which
could only fail in the same way.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk import XComArg
from airflow.sdk.exceptions import AirflowFailException
from pydantic import BaseModel

TEMPLATE = "{{"


class ArgumentRefused(AirflowFailException, ValueError):
    """An argument of an operator is of a form that it cannot have."""


def one_of(value: Any, name: str, *choices: str) -> Any:
    """The value, where it is one of the choices."""
    if value not in choices:
        raise ArgumentRefused(f"{name}={value!r} is none of: {', '.join(choices)}")
    return value


def flag(value: Any, name: str) -> bool:
    """True or False, and nothing that merely counts as such."""
    if not isinstance(value, bool):
        raise ArgumentRefused(f"{name}={value!r} must be True or False")
    return value


def seconds(value: Any, name: str, *, least: float = 0.0) -> float:
    """A finite number of seconds, `least` or more."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < least:
        raise ArgumentRefused(f"{name}={value!r} must be a number of seconds, {least:g} or more, such as 120.0")
    return float(value)


def seconds_or_none(value: Any, name: str) -> float | None:
    """A finite number of seconds above 0, or None for no limit."""
    if value is None:
        return None
    checked = seconds(value, name)
    if checked == 0:
        raise ArgumentRefused(f"{name}=0 leaves no time at all; None is no limit")
    return checked


def text(value: Any, name: str) -> str | XComArg:
    """A text, perhaps with templates, or what another task will give."""
    if isinstance(value, XComArg):
        return value
    if not isinstance(value, str) or not value.strip():
        raise ArgumentRefused(f"{name}={value!r} must be a text")
    return value


def texts(value: Any, name: str) -> list[Any] | XComArg:
    """Texts in a list, or what another task will give."""
    if isinstance(value, XComArg):
        return value
    if isinstance(value, str):
        raise ArgumentRefused(f"{name}={value!r} is one text: give a list, such as [{value!r}]")
    if not isinstance(value, Sequence) or not all(isinstance(each, str | XComArg) for each in value):
        raise ArgumentRefused(f"{name}={value!r} must be a list of texts")
    return list(value)


def rendered_texts(value: Any, name: str) -> list[str]:
    """The texts as rendered."""
    checked = texts(value, name)
    if not isinstance(checked, list) or not all(isinstance(each, str) for each in checked):
        raise ArgumentRefused(f"{name}={value!r} must be a list of texts by now; what did a task before return?")
    return checked


def mapping(value: Any, name: str) -> Any:
    """A mapping of names to values, a pydantic model, a template that gives one, or what another task will give.

    None is an empty mapping. It is not copied: another task's output is known only when the task runs.
    """
    if value is None:
        return {}
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_unset=True)
    is_template = isinstance(value, str) and TEMPLATE in value
    if not isinstance(value, Mapping | XComArg) and not is_template:
        raise ArgumentRefused(f"{name}={value!r} must be a mapping of names to values")
    return value


def rendered_mapping(value: Any, name: str) -> dict[str, Any]:
    """The mapping as rendered; the text of a JSON object counts as one."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise ArgumentRefused(
                f"{name} was rendered to a text that is no JSON object: {value[:200]!r}. Write it as a mapping whose "
                f"values are templates, end the template in `| tojson`, or set render_template_as_native_obj on the DAG"
            ) from error
    if not isinstance(value, Mapping) or not all(isinstance(each, str) for each in value):
        raise ArgumentRefused(f"{name}={value!r} must be a mapping of names to values; what did a task before return?")
    return dict(value)
