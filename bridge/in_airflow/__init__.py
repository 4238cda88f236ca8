"""The bridge as an Airflow provider. Nothing here knows Prefect's library."""
