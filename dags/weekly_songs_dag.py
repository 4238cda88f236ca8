"""`weekly_songs`: a week of the songs use case, as an Airflow DAG."""

from dags.building import build

dag = build("songs")
