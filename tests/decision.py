"""A promotion that was decided, for tests of what is made of one. Imports neither orchestrator."""

from factory.contracts import PromotionResult

DECISION = PromotionResult(
    use_case="products",
    promoted=True,
    reason="weighted F1 0.8900 beats the champion's 0.8700",
    rule="gain",
    challenger_version="3",
    challenger_metrics={"f1_weighted": 0.89, "f1_macro": 0.81},
    champion_version="2",
    previous_champion_version="2",
    previous_champion_metrics={"f1_weighted": 0.87, "f1_macro": 0.8},
    threshold=0.75,
    test_version="v1",
    test_rows=1122,
    card_url="http://mlflow.test/#/experiments/1/runs/a/artifacts/model_card.html",
)
