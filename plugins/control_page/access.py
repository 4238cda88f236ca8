"""Who may see and change what, as Airflow's auth manager decides by DAG.

A deployment belongs to the DAGs with a task that starts it. A run belongs to the DAG that started it, else to the DAGs
of its deployment. What belongs to none is held to a DAG named NOBODYS, which stands in no file: those who may read
every DAG may read it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from fastapi import HTTPException, Request

from bridge.contracts import AIRFLOW_TAG
from plugins.control_page.airflow_internals import (
    DagAccessEntity,
    DagDetails,
    DagModel,
    GetUserDep,
    get_auth_manager,
)
from plugins.control_page.airflow_reader import owners_of_deployments
from plugins.control_page.same_origin import is_our_own

NOBODYS = "control_page"
DAG_TAG = "dag:"

Action = Literal["see", "start", "change"]
"""See; start, cancel and retry runs; pause a schedule, promote and roll back."""

_NEEDED: Mapping[Action, tuple[Any, DagAccessEntity | None]] = {
    "see": ("GET", None),
    "start": ("POST", DagAccessEntity.RUN),
    "change": ("PUT", None),
}


class Forbidden(Exception):
    """The user may not do this; the message says what would be needed."""


FORM_BYTES = 1_000_000
"""More than any form of ours holds; Prefect itself takes parameters of half that size."""


class CrossSite(Exception):
    """A page of another site has sent this."""


@dataclass
class Viewer:
    """One user in one request; answers of the auth manager are kept for its length. Blocks."""

    user: Any
    owners: Mapping[str, frozenset[str]]
    _answers: dict[tuple[Action, str], bool] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return str(self.user.get_name())

    def dags_of(self, deployment: str | None, tags: Iterable[str] = ()) -> frozenset[str]:
        """The DAGs to which a deployment, or a run with these tags, belongs."""
        tags = frozenset(tags)
        named = frozenset(tag.removeprefix(DAG_TAG) for tag in tags if tag.startswith(DAG_TAG))
        started_by = named if AIRFLOW_TAG in tags else frozenset()
        return started_by or self.owners.get(deployment or "", frozenset()) or frozenset({NOBODYS})

    def may(self, action: Action, dag_ids: Iterable[str]) -> bool:
        """Whether the user may do this to what belongs to any of the DAGs."""
        return any(self._may(action, dag_id) for dag_id in sorted(dag_ids))

    def sees_everything(self) -> bool:
        """Whether nothing has to be held back."""
        return self._may("see", NOBODYS)

    def require(self, action: Action, dag_ids: Iterable[str]) -> str | None:
        """The first DAG by which the user may do this, None for what belongs to none; raises Forbidden."""
        allowed = [dag_id for dag_id in sorted(dag_ids) if self._may(action, dag_id)]
        if not allowed:
            method, entity = _NEEDED[action]
            of_what = f" on {entity.value.lower()}s" if entity else ""
            raise Forbidden(
                f"{self.name} may not do this. It takes the permission {method}{of_what} of DAG "
                f"{' or '.join(sorted(dag_ids))}; ask whoever administers Airflow."
            )
        return None if allowed[0] == NOBODYS else allowed[0]

    def _may(self, action: Action, dag_id: str) -> bool:
        key = (action, dag_id)
        if key not in self._answers:
            method, entity = _NEEDED[action]
            details = DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id))
            self._answers[key] = get_auth_manager().is_authorized_dag(
                method=method, access_entity=entity, details=details, user=self.user
            )
        return self._answers[key]


def viewer(user: GetUserDep) -> Viewer:
    """The logged-in user of the request, as a FastAPI dependency; Airflow answers 401 where there is none."""
    return Viewer(user, owners_of_deployments())


def refuse_large(request: Request) -> None:
    """As a FastAPI dependency of every route: raises HTTPException for a body larger than FORM_BYTES, or of no size."""
    if "transfer-encoding" in request.headers:
        raise HTTPException(411, "A form is sent with its length.")
    if int(request.headers.get("content-length", 0)) > FORM_BYTES:  # the server lets nothing but digits pass
        raise HTTPException(413, f"A form of more than {FORM_BYTES:,} bytes is not read.")


def refuse_other_sites(request: Request) -> None:
    """As a FastAPI dependency of every route: raises CrossSite."""
    from airflow.configuration import conf

    own = (conf.get("api", "base_url", fallback=""),)
    if not is_our_own(request.method, dict(request.headers), own):
        raise CrossSite
