"""`daily_market`: a day of the market use case, as an Airflow DAG."""

from dags.building import build

dag = build("market")
