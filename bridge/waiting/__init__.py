"""Waiting for flow runs, shared by all who wait in one event loop; knows nothing of Airflow."""
