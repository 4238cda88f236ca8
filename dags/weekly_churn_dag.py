"""`weekly_churn`: a week of the churn use case, as an Airflow DAG."""

from dags.building import build

dag = build("churn")
