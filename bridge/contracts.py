"""What both sides agree on: a deployment's name, its parameters and its result.

Owns the generic `Deployment[Params, Result]` and the conventions by which a result crosses from Prefect to Airflow.
Knows nothing of Airflow, of Prefect or of any particular pipeline.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from pydantic import BaseModel

RESULT_ARTIFACT_KEY = "bridge-result"
"""Key of the Prefect artifact in which a flow publishes its result model as JSON."""

SKIPPED_STATE_NAME = "Skipped"
"""Name of a COMPLETED state by which a flow says that there was nothing to do; the state's message is the reason."""

AIRFLOW_TAG = "airflow"
"""Tag that every flow run started from Airflow bears."""

_DEPLOYMENT_NAME = re.compile(r"[^/]+/[^/]+")

Params = TypeVar("Params", bound=BaseModel)
Result = TypeVar("Result", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Deployment(Generic[Params, Result]):
    """A Prefect deployment with the models of what goes in and what comes out.

    `name` is `<flow name>/<deployment name>`, as Prefect's own command line takes it.
    Raises ValueError when it is not of that form.
    """

    name: str
    params: type[Params]
    result: type[Result]

    def __post_init__(self) -> None:
        if not _DEPLOYMENT_NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} does not name a deployment: write '<flow name>/<deployment name>'")

    def encode(self, params: Params) -> dict[str, Any]:
        """What the caller said, as the JSON object that Prefect takes; the rest is the deployment's to default."""
        return params.model_dump(mode="json", exclude_unset=True)

    def decode(self, document: Mapping[str, Any]) -> Result:
        """The typed result; raises pydantic.ValidationError when the flow published something else."""
        return self.result.model_validate(document)


@runtime_checkable
class Reportable(Protocol):
    """A result that can tell people about itself; notifications are composed of nothing else."""

    def facts(self) -> dict[str, str]:
        """Short facts by their label, in the order in which to show them."""

    def reservations(self) -> list[str]:
        """Sentences on what a person should look at although the run succeeded; empty when all is well."""

    def links(self) -> dict[str, str]:
        """Addresses of what the run made, by the text to show; empty when there is nothing to open."""


@runtime_checkable
class Labelled(Protocol):
    """A result that people can tell from its fellows of the same mapped task."""

    @property
    def label(self) -> str:
        """What it is called beside them."""


@runtime_checkable
class Newsworthy(Protocol):
    """A `Reportable` result that has news as well."""

    def news(self) -> list[str]:
        """Sentences worth reading that ask nothing of anybody, such as why all stays as it is."""
