"""How the runs of the fake Prefect go by themselves: what a worker and a flow do to them.

Owns the plans of each deployment and the course of each run. Safe to use from several threads.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from threading import Timer

from bridge.testing.courses import Course, Flow, as_json, follow
from bridge.testing.state import State


class Player:
    """Stands for workers and flows."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._plans: dict[str, list[Course | Flow]] = {}
        """By id of the deployment, in the order in which its runs take them."""
        self._courses: dict[str, Course] = {}
        """By id of the run: the course on which it is."""
        self._timers: list[Timer] = []

    def plan(self, deployment_id: str, plans: Sequence[Course | Flow]) -> None:
        """Runs of the deployment take these plans in turn; the last one holds."""
        with self._state.lock:
            self._plans[deployment_id] = list(plans)

    def begin(self, flow_run_id: str) -> None:
        """A run is due: take it as far as its plan says."""
        [run] = self._state.rows([self._state.run(flow_run_id)])
        plan = self._next_plan(run["deployment_id"])
        rests = plan.state if isinstance(plan, Course) else ""
        if isinstance(plan, Course):
            self._courses[flow_run_id] = plan
        if rests != "SCHEDULED":
            self._put(flow_run_id, "PENDING")
        if rests in {"SCHEDULED", "PENDING"}:
            return
        running = self._put(flow_run_id, "RUNNING")
        course = self._courses[flow_run_id] = follow(plan, run["parameters"])
        self._say(flow_run_id, course)
        if course.state == "RUNNING":
            return
        if course.after_seconds:
            timer = Timer(course.after_seconds, self._end, (flow_run_id, course, running))
            timer.daemon = True
            self._timers.append(timer)
            timer.start()
        else:
            self._end(flow_run_id, course, running)

    def finish(self, flow_run_id: str, course: Course) -> None:
        """The run ends now, whatever its state."""
        self._say(flow_run_id, course)
        self._conclude(flow_run_id, course)

    def cancelling(self, flow_run_id: str) -> None:
        """A cancellation was accepted: it is obeyed, or not."""
        if self._courses.get(flow_run_id, Course()).obeys_cancel:
            self._put(flow_run_id, "CANCELLED")

    def stop(self) -> None:
        """Nothing goes on by itself any more."""
        for timer in self._timers:
            timer.cancel()

    def _next_plan(self, deployment_id: str) -> Course | Flow:
        with self._state.lock:
            plans = self._plans.get(deployment_id, [Course()])
            return plans.pop(0) if len(plans) > 1 else plans[0]

    def _end(self, flow_run_id: str, course: Course, running: str) -> None:
        with self._state.lock:
            run = self._state.flow_runs.get(flow_run_id)
            if run is not None and run["state_id"] == running:  # nobody has cancelled or deleted it meanwhile
                self._conclude(flow_run_id, course)

    def _say(self, flow_run_id: str, course: Course) -> None:
        for line in course.logs:
            level, message = (logging.INFO, line) if isinstance(line, str) else line
            self._state.log(flow_run_id, level, message)

    def _conclude(self, flow_run_id: str, course: Course) -> None:
        if course.result is not None:
            self._state.publish(flow_run_id, as_json(course.result))
        self._put(flow_run_id, course.state, course.state_name, course.message)
        # As Prefect's engine closes a run's log; who follows the log waits for it.
        self._state.log(flow_run_id, logging.INFO, f"Finished in state {course.state_name or course.state.title()}()")

    def _put(self, flow_run_id: str, state: str, name: str | None = None, message: str = "") -> str:
        """The id of the new state."""
        proposed = {"type": state, "name": name, "message": message or None}
        state_id: str = self._state.propose(flow_run_id, proposed, force=True)[0]["id"]
        return state_id
