"""The flows of `flows_for_tests.py`, forked from a process that has imported Prefect: a run begins in a moment."""

from __future__ import annotations

from flows.adapters import prefect_internals
from flows.serving import fork_flow_runs
from tests.contract.flows_for_tests import serve_all

if __name__ == "__main__":
    fork_flow_runs(warm=prefect_internals.__name__)  # these flows use no model's library
    serve_all()
