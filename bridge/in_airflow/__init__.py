"""The bridge as an Airflow provider: hook, operator, trigger, link and notifier. Nothing here knows Prefect's library."""
