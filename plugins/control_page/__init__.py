"""The control page: both orchestrators on one screen in Airflow. Reads Prefect through `bridge`, never its library."""
