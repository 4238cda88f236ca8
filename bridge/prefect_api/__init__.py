"""Prefect's REST API and event socket, as far as the bridge needs them. Knows nothing of Airflow."""
