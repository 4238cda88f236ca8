"""Where the flows touch the world: MLflow, Evidently, pictures, Prefect's artifacts, Discord."""
