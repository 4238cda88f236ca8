"""`monthly_deals`: a month of the deals use case, as an Airflow DAG."""

from dags.building import build

dag = build("deals")
