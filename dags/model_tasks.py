"""The tasks of a use case's models: score, train, promote, monitor, with a person's approval where that is asked for.

Wiring only. One model has the tasks themselves; several have a mapped group of them, a member each, so that what one
fails at leaves the others alone. The task `outcome` ends such a run: with success, told in yellow, while any model got
through.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import chain, task, task_group
from airflow.sdk.exceptions import AirflowFailException

from bridge.in_airflow.notifier import BridgeNotifier
from bridge.in_airflow.operators import RunPrefectDeployment
from factory import contracts
from factory.approval import is_asked_for
from factory.settings import Settings
from factory.use_cases.use_case import Model, UseCase

FAILURE_KEY = "failure"
"""Under which a task that failed says why."""
STEPS = ("score", "train", "judge", "question", "approve", "promote", "monitor")
FAILED = ("failed", "upstream_failed")


class NoModel(AirflowFailException):
    """No model got through the run."""


class NoData(AirflowFailException):
    """The run ended before its models; people have heard of that already."""


def wire_models(use_case: UseCase, told: BridgeNotifier, dataset: Any, settings: Settings) -> Any:
    """The tasks behind the checked `dataset`; gives what follows it."""
    if len(use_case.models) == 1:
        (model,) = use_case.models
        return _OneModel(use_case, model, told, dataset, {}, several=False).wire(settings)

    @task_group(group_id="models", prefix_group_id=False, default_args={"on_failure_callback": note_failure})
    def models(model: str) -> None:
        # what differs between them is the parameter alone: a gate that asks for approval does so for all
        strictest = max(use_case.models, key=lambda each: is_asked_for(settings, each.gate))
        _OneModel(use_case, strictest, told, dataset, {"model": model}, several=True).wire(settings)

    names = [model.name for model in use_case.models]
    group = models.expand(model=names)
    group >> _outcome(use_case, told)
    return group


def note_failure(context: Mapping[str, Any]) -> None:
    """The task's failure, for the run's own message."""
    error = context.get("exception")
    context["ti"].xcom_push(key=FAILURE_KEY, value=str(error) or type(error).__name__)


def _outcome(use_case: UseCase, told: BridgeNotifier) -> Any:
    def tell(context: Mapping[str, Any]) -> None:
        if not isinstance(context.get("exception"), NoData):
            told(context)

    @task(task_id="outcome", trigger_rule="all_done", retries=0, on_failure_callback=tell)
    def outcome(ti: Any) -> dict[str, Any]:
        """How each model fared; fails where none got through."""
        names = [model.name for model in use_case.models]
        failed = {}
        for index, name in enumerate(names):
            found = ti.get_task_states(dag_id=ti.dag_id, map_index=index, task_ids=list(STEPS), run_ids=[ti.run_id])
            states = {key.removesuffix(f"_{index}"): state for key, state in found.get(ti.run_id, {}).items()}
            if broken := [step for step in STEPS if states.get(step) in FAILED]:
                said = ti.xcom_pull(task_ids=broken[0], key=FAILURE_KEY, map_indexes=index)
                failed[name] = f"{broken[0]}: {said or 'nothing came from the tasks before it'}"
            elif not states:
                raise NoData(f"the models of {use_case.name} were not reached")
        result = contracts.ModelsResult(use_case=use_case.name, models=tuple(names), failed=failed)
        if len(failed) == len(names):
            raise NoModel("; ".join(result.reservations()))
        return result.model_dump(mode="json")

    return outcome()


class _OneModel:
    """The tasks of one model, or of each member of the mapped group (`several`); `given` names it to the flows."""

    def __init__(
        self,
        use_case: UseCase,
        model: Model,
        told: BridgeNotifier,
        dataset: Any,
        given: Mapping[str, Any],
        *,
        several: bool,
    ) -> None:
        self.use_case, self.model, self.told, self.dataset, self.given = use_case, model, told, dataset, dict(given)
        self.several = several
        self.trained = "{{ " + self._pull("train") + "['model_version'] }}"

    def wire(self, settings: Settings) -> RunPrefectDeployment:
        """The tasks in their order; gives the first."""
        name, approval = self.use_case.name, is_asked_for(settings, self.model.gate)
        score = self._run("score", contracts.score(name), {"dataset": self.dataset})
        train = self._run(
            "train",
            contracts.training(name),
            # promotion is its own deployment: training does not decide
            {"dataset": self.dataset, "auto_promote_threshold": None},
            # the first period has no champion that could score
            trigger_rule="none_failed",
        )
        promote = self._run(
            "promote",
            contracts.promotion(name),
            {"model_version": self.trained, **(self._answered() if approval else {})},
            # nobody is asked for what the gate refuses; a refusal is recorded like any other decision
            trigger_rule="none_failed" if approval else "all_success",
        )
        moment = "{{ ti.xcom_pull(task_ids='" + self.use_case.tasks.check + "')['as_of'] }}"
        monitor = self._run("monitor", contracts.monitor(name), {"as_of": moment})
        chain(score, train, *(self._ask() if approval else ()), promote, monitor)
        return score

    def _run(self, task_id: str, deployment: Any, parameters: Mapping[str, Any], **more: Any) -> RunPrefectDeployment:
        named = {"map_index_template": "{{ task.parameters['model'] }}"} if self.several else {}
        return RunPrefectDeployment(
            task_id=task_id, deployment=deployment, parameters={**parameters, **self.given}, **named, **more
        )

    def _pull(self, task_id: str) -> str:
        """Jinja for what the task pushed, of this very model."""
        return f"ti.xcom_pull(task_ids='{task_id}'{', map_indexes=ti.map_index' if self.several else ''})"

    def _ask(self) -> tuple[Any, ...]:
        """Between training and promotion: the gate's verdict, and a person's answer where it would promote."""
        judged = {"model_version": self.trained, "rehearsal": True}
        judge = self._run("judge", contracts.promotion(self.use_case.name), judged)
        told = self.told

        @task.short_circuit(ignore_downstream_trigger_rules=False)
        def question(judged: dict, dag_run) -> str:
            """What a person is asked, empty where the gate refuses; people hear that an answer is awaited."""
            from airflow.configuration import conf

            from bridge.notifications.message import Level, Message
            from factory.approval import compose_question

            result = contracts.PromotionResult.model_validate(judged)
            if asked := compose_question(result):
                page = f"{conf.get('api', 'base_url').rstrip('/')}/dags/{dag_run.dag_id}/runs/{quote(dag_run.run_id)}"
                links = {"Answer in Airflow": f"{page}/tasks/approve/required_actions"} | result.links()
                title = f"{dag_run.dag_id}: version {result.challenger_version} awaits approval"
                message = Message(Level.WARNING, title, (result.reason,), result.facts(), links)
                told.tell(message)
            return asked

        # not the ApprovalOperator: it skips the task behind it on a refusal, which then nobody would record
        approve = HITLOperator(
            task_id="approve",
            subject=f"Promote version {self.trained} of {self.use_case.name}?",
            body="{{ " + self._pull("question") + " }}",
            options=["Approve", "Reject"],
            defaults="Reject",
            response_timeout=timedelta(hours=self.model.gate.approval_hours),
        )
        return judge, question(judge.output), approve

    def _answered(self) -> dict[str, str]:
        """Who answered how; nobody, where the gate refused before."""
        answer = "{%- set answer = " + self._pull("approve") + " or {'chosen_options': ['']} -%}"
        person = "(answer['responded_by_user'] or {}).get('name')"
        silence = f"nobody: no answer within {self.model.gate.approval_hours:g} h"
        return {
            "approved_by": f"{answer}{{{{ {person} if 'Approve' in answer['chosen_options'] else '' }}}}",
            "rejected_by": f"{answer}{{{{ {person} or {silence!r} if 'Reject' in answer['chosen_options'] else '' }}}}",
        }
