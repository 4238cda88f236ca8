"""From a flow run's end to the end of the Airflow task that waits for it. See docs/benchmarks/task-end.md."""
