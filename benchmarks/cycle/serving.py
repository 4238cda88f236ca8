"""All deployments of the products use case from one process that has everything imported: Prefect's `serve`.

python -m benchmarks.cycle.serving
"""

from __future__ import annotations


def main() -> None:
    """Serve until ended."""
    from prefect import serve

    from flows.monitor_and_retrain import monitor_and_retrain
    from flows.pipeline_flow import training_pipeline
    from flows.promotion import promotion
    from flows.scoring import score

    flows = (training_pipeline, promotion, score, monitor_and_retrain)
    serve(*(each.to_deployment("products", parameters={"use_case": "products"}) for each in flows))


if __name__ == "__main__":
    main()
