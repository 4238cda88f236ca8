"""What befalls processes, servers and the network while a plan is played, each when its moment has come.

Owns deaths, stalls, absences and what becomes of a deployment. People's acts are `scenario`'s. The proxy's thread calls
`on_request`, `small_airflow` calls `on_message`, the scenario `step`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.faults.children import Child
from tests.faults.faults import Phase
from tests.faults.flow_side import redeploy
from tests.faults.plan import Moment, Plan, Stall, WorkerDeath
from tests.faults.proxy import FaultyProxy
from tests.faults.small_airflow import SmallAirflow
from tests.live_prefect import LivePrefect

_servers = threading.Lock()


@dataclass
class Mishaps:
    """Those of one plan.

    `calm` once a person ends the task: what -9 then leaves undone, Airflow never asks for again.
    """

    plan: Plan
    prefect: LivePrefect
    proxy: FaultyProxy
    airflow: SmallAirflow
    deployment: str
    has_come: Callable[[Moment], bool]
    calm: bool = False
    worker_died_at: float | None = None
    _requests: tuple[int, int] = (0, -1)
    """Requests of the worker process with that number."""
    _stalled: dict[Stall, Child] = field(default_factory=dict)
    _left_at: float | None = None
    back_at: float | None = None
    _is_redeployed: bool = False
    _reborn: threading.Thread | None = None

    @property
    def more_to_come(self) -> bool:
        """Whether something goes on that will end by itself."""
        is_away = self._left_at is not None and self.back_at is None
        sleeps = any(child.stalled_at is not None for child in self._stalled.values())
        return is_away or sleeps or self.proxy.seems_empty or (self._reborn is not None and self._reborn.is_alive())

    def step(self) -> None:
        """Do what is due."""
        self._end_triggerer()
        self._end_server()
        self._stall_triggerer()
        self._wake()
        self._leave()
        self._change_deployment()

    def on_request(self, phase: Phase) -> None:
        """How far a request of the worker's has come; in the proxy's thread."""
        child = self.airflow.child("worker")
        if child is None:
            return
        count, number = self._requests
        if phase == "arrived":
            self._requests = (count + 1 if number == child.number else 1, child.number)
        now = (child.number, phase, self._requests[0])
        for death in self.plan.worker_deaths:
            if (death.process, death.phase, death.count) == now:
                self._end_worker(child, death)
        for stall in self.plan.stalls:
            if (stall.process, stall.phase, stall.count) == now and stall.who == "worker":
                self._stall(child, stall)

    def on_message(self, child: Child, moment: str, message: str) -> None:
        """A message of the worker's, "before" and "after" it takes effect."""
        for death in self.plan.worker_deaths:
            if death.message == message and death.process == child.number and death.before == (moment == "before"):
                self._end_worker(child, death)
        for stall in self.plan.stalls:
            if (stall.message, stall.process, moment) == (message, child.number, "before"):
                self._stall(child, stall)

    def _end_worker(self, child: Child, death: WorkerDeath) -> None:
        if self.calm:
            return
        self.airflow.tell(f"worker {child.number} is killed: {death}")
        self.worker_died_at = self.worker_died_at or time.monotonic()
        child.kill()

    def _end_triggerer(self) -> None:
        child = self.airflow.child("triggerer")
        if child is None or self.airflow.state != "deferred" or child.number >= len(self.plan.triggerer_deaths):
            return
        if time.monotonic() >= child.started_at + self.plan.triggerer_deaths[child.number]:
            self.airflow.tell(f"triggerer {child.number} is killed")
            child.kill()

    def _stall(self, child: Child, stall: Stall) -> None:
        if stall not in self._stalled and not self.calm:
            self._stalled[stall] = child
            self.airflow.stall(child)

    def _stall_triggerer(self) -> None:
        child = self.airflow.child("triggerer")
        for stall in self.plan.stalls:
            is_meant = child is not None and (stall.who, stall.process) == ("triggerer", child.number)
            if is_meant and time.monotonic() >= child.started_at + stall.after_seconds:
                self._stall(child, stall)

    def _wake(self) -> None:
        for stall, child in list(self._stalled.items()):
            if child.stalled_at is not None and time.monotonic() >= child.stalled_at + stall.seconds:
                self.airflow.wake(child, stall.heeds_seconds)

    def _leave(self) -> None:
        absence = self.plan.absence
        if absence is None or self.back_at is not None:
            return
        if self._left_at is None:
            if self.has_come(absence.moment):
                self.airflow.tell("Prefect is out of reach")
                self._left_at = time.monotonic()
                self.proxy.leave()
        elif time.monotonic() >= self._left_at + absence.seconds:
            self.airflow.tell("Prefect is within reach again")
            self.back_at = time.monotonic()
            self.proxy.come_back()

    def _change_deployment(self) -> None:
        if self.worker_died_at is None:
            return
        if self.plan.redeployment is not None and not self._is_redeployed:
            self._is_redeployed = True
            self.airflow.tell(f"the deployment: {self.plan.redeployment}")
            redeploy(self.prefect, self.deployment, self.plan.redeployment)
        if self.plan.empty_seconds:
            self.proxy.seems_empty = time.monotonic() < self.worker_died_at + self.plan.empty_seconds

    def _end_server(self) -> None:
        death = self.plan.server_death
        if death is None or self._reborn is not None or not self.has_come(death.moment):
            return
        self.airflow.tell("Prefect's server is killed")
        self._reborn = threading.Thread(target=self._bear_server_again, args=(death.away_seconds,))
        self._reborn.start()

    def _bear_server_again(self, away_seconds: float) -> None:
        with _servers:
            self.prefect.kill()
            time.sleep(away_seconds)
            self.prefect.start()
