"""A fake Prefect for tests of DAGs, operators and everything else that speaks to Prefect through the bridge.

    from bridge.testing import FakePrefect

    def test_the_score_reaches_the_next_task(monkeypatch):
        with FakePrefect() as prefect:
            prefect.deployment("training-pipeline/products", parameters=TrainingParams)
            prefect.on_run("training-pipeline/products", result={"f1": 0.9})
            monkeypatch.setenv("AIRFLOW_CONN_PREFECT_DEFAULT", prefect.airflow_connection())
            weekly.test()
            [run] = prefect.runs("training-pipeline/products")
            assert run.parameters == {"rows": 100}

It is a real HTTP and websocket server on loopback, so that other processes reach it too. Needs the extra `testing`;
knows neither Airflow nor Prefect's library. The contract tests hold it against Prefect's own server.
"""

from bridge.testing.courses import Course
from bridge.testing.fake import FakePrefect

__all__ = ["Course", "FakePrefect"]
