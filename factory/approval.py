"""What a person reads who is asked to approve a promotion.

Pure: a rehearsed verdict in, Markdown out. Must not know who asks, where, or what the answer sets off.
"""

from __future__ import annotations

from factory.contracts import PromotionResult

METRICS = {"f1_weighted": "weighted F1", "f1_macro": "macro F1", "accuracy": "accuracy"}


def compose_question(judged: PromotionResult) -> str:
    """The question in Markdown: both models' numbers, every rule of the gate, and where to look closer.

    Empty where the gate refuses the challenger already, so that nobody is asked for what cannot be.
    """
    if not judged.promoted:
        return ""
    champion = judged.previous_champion_version
    title = f"Version **{judged.challenger_version}** of **{judged.use_case}** met every rule of the gate."
    place = f"It would take the place of version {champion}." if champion else "There is no champion yet."
    links = {**judged.links(), "MLflow": judged.mlflow_url}
    opened = " · ".join(f"[{text}]({url})" for text, url in links.items() if url)
    rules = "\n".join(f"- {check.said}" for check in judged.checks)
    return "\n\n".join(part for part in (f"{title} {place}", _table(judged), rules, opened) if part)


def _table(judged: PromotionResult) -> str:
    mine, theirs = judged.challenger_metrics, judged.previous_champion_metrics or {}
    rows = [
        f"| {words} | {mine[name]:.4f} | {f'{theirs[name]:.4f}' if name in theirs else '–'} |"
        for name, words in METRICS.items()
        if name in mine
    ]
    head = f"| on {judged.test_rows:,} test rows | challenger | champion |\n|---|---|---|"
    return "\n".join([head, *rows])
