"""`weekly_ml_pipeline`: a week of the products use case, as an Airflow DAG."""

from dags.building import build

dag = build("products")
