"""Who may see and change what, as Airflow's auth manager decides by DAG.

A deployment belongs to the DAGs with a task that starts it. A run belongs to the DAG that started it, else to the DAGs
of its deployment. What belongs to none is held to a DAG named NOBODYS, which stands in no file: those who may read
every DAG may read it. What may change a champion asks for the permission to promote besides: which runs those are is
the contracts' to say, and whose champion it is follows from the use case.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from fastapi import HTTPException, Request

from bridge.prefect_api.records import DeploymentRecord, FlowRun
from factory import contracts
from factory.sizes import megabytes
from plugins.control_page.airflow_internals import (
    DagAccessEntity,
    DagDetails,
    DagModel,
    GetUserDep,
    get_auth_manager,
)
from plugins.control_page.airflow_reader import owners_of_deployments
from plugins.control_page.run_views import dag_of, dags_claimed
from plugins.control_page.same_origin import is_our_own

NOBODYS = "control_page"

Action = Literal["see", "start", "change", "promote"]
"""See; start, cancel and retry runs; pause a schedule; let a run change a champion."""

_NEEDED: Mapping[Action, tuple[Any, DagAccessEntity | None]] = {
    "see": ("GET", None),
    "start": ("POST", DagAccessEntity.RUN),
    "change": ("PUT", None),
    "promote": ("PUT", None),
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

    def dags_of(self, deployment: str | None, run: FlowRun | None = None) -> frozenset[str]:
        """The DAGs to which a deployment, or this run of it, belongs.

        A tag that the bridge's labels do not bear out opens nothing: it can only take DAGs away.
        """
        owners = self.owners.get(deployment or "", frozenset())
        if run is not None and (started_by := dag_of(run)) is not None:
            owners = frozenset({started_by})
        elif run is not None and (claimed := dags_claimed(run)):
            owners &= claimed
        return owners or frozenset({NOBODYS})

    def may_run(
        self, name: str, record: DeploymentRecord | None, given: Mapping[str, Any], run: FlowRun | None = None
    ) -> bool:
        """Whether the user may let the deployment run with these parameters, or this run of it again."""
        needed = self._needed(name, record, given, run)
        return all(self.may(action, dag_ids) for action, dag_ids in needed.items())

    def require_run(
        self, name: str, record: DeploymentRecord | None, given: Mapping[str, Any], run: FlowRun | None = None
    ) -> str | None:
        """The DAG by which the user may do that, None for what belongs to none; raises Forbidden."""
        allowed = [self.require(*each) for each in self._needed(name, record, given, run).items()]
        return next(iter(allowed))

    def may_resume(self, name: str, record: DeploymentRecord) -> bool:
        """Whether the user may let the deployment's schedules go on."""
        return all(self.may(*each) for each in self._needed_to_resume(name, record))

    def require_resume(self, name: str, record: DeploymentRecord) -> str | None:
        """The DAG by which the user may do that, None for what belongs to none; raises Forbidden."""
        allowed = [self.require(*each) for each in self._needed_to_resume(name, record)]
        return allowed[0]

    def held(self, name: str, record: DeploymentRecord) -> Mapping[str, Any] | None:
        """The parameters that stand fast for the user in every run that he starts; None where he may start none.

        There are some for who may start runs and not promote.
        """
        contract = contracts.params_of(name, record.parameter_schema.get("properties", {}))
        choices: tuple[Mapping[str, Any], ...] = ({}, (contract.without_promotion or {}) if contract else {})
        return next((given for given in choices if self.may_run(name, record, given)), None)

    def _needed(
        self, name: str, record: DeploymentRecord | None, given: Mapping[str, Any], run: FlowRun | None
    ) -> dict[Action, frozenset[str]]:
        """The actions that such a run is, each with the DAGs of which one must allow it.

        Who may promote may let run what promotes.
        """
        mine = self.dags_of(name, run)
        taken = {**(record.parameters if record else {}), **given}
        takes = record.parameter_schema.get("properties", {}) if record else ()
        if not contracts.may_promote(name, taken, takes):
            return {"start": mine}
        champions = self._dags_of_champion(contracts.params_of(name, takes), taken) or mine
        return {"promote": champions} if champions == mine else {"start": mine, "promote": champions}

    def _needed_to_resume(self, name: str, record: DeploymentRecord) -> list[tuple[Action, frozenset[str]]]:
        """To change the deployment, and to promote whom the runs may that its schedules start, each with its own."""
        runs = [each.get("parameters") or {} for each in record.schedules]
        needed = (self._needed(name, record, given, None).get("promote") for given in [{}, *runs])
        return [("change", self.dags_of(name)), *(("promote", dag_ids) for dag_ids in needed if dag_ids)]

    def _dags_of_champion(self, contract: type[contracts.Params] | None, taken: Mapping[str, Any]) -> frozenset[str]:
        """The DAGs that promote models of the use case that a run is given; empty where that is not known."""
        use_case = taken.get("use_case", contract.model_fields["use_case"].default if contract else None)
        if not isinstance(use_case, str) or not use_case or "/" in use_case:
            return frozenset()
        return self.owners.get(contracts.promotion(use_case).name, frozenset())

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
            why = "It may change the champion, which takes" if action == "promote" else "It takes"
            raise Forbidden(
                f"{self.name} may not do this. {why} the permission {method}{of_what} of DAG "
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
        raise HTTPException(413, f"A form of more than {megabytes(FORM_BYTES)} is not read.")


def refuse_other_sites(request: Request) -> None:
    """As a FastAPI dependency of every route: raises CrossSite."""
    from airflow.configuration import conf

    own = (conf.get("api", "base_url", fallback=""),)
    if not is_our_own(request.method, dict(request.headers), own):
        raise CrossSite
