"""The model card: one page on a version, for whoever has to trust it, as HTML that needs nothing else.

Owns what stands on the card and how it looks (model_card.html.jinja). Measures nothing and decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge.plain_text import as_lines
from factory.catalogue.database import open_catalogue
from factory.catalogue.entities import read_sources
from factory.contracts import PromotionResult, looked_at
from factory.settings import Settings
from factory.use_cases.metrics import declared
from factory.use_cases.sources import Entities
from flows.adapters import runs
from flows.adapters.artifacts import reaching
from flows.adapters.promotion_case import Case
from flows.adapters.registry import Version
from flows.core.evidence import Evidence

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient

CARD_FILE = "model_card.html"
TEMPLATE = Path(__file__).with_name("model_card.html.jinja").read_text()
"""Read with this code, which it fits: the checkout may be updated below a process that serves for weeks."""
FEW_ROWS = 30
"""Below so many test rows a class's F1 says little, whatever its value."""
WEAK_CLASSES = 3
REASONS_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of a list; `url` opens what it names, where it is an address of the web."""

    name: str
    value: str
    url: str | None = None

    @property
    def page(self) -> str | None:
        """The address that may be opened: what runs, tags and labels say may be anything."""
        return self.url if self.url and self.url.startswith(("http://", "https://")) else None


def card_url(client: MlflowClient, settings: Settings, version: Version) -> str | None:
    """Where the version's card is read; None when no web interface is known."""
    return runs.run_url(client, settings.mlflow_ui_url, version.run_id, CARD_FILE)


def log_card(
    client: MlflowClient, settings: Settings, case: Case, version: Version, evidence: Evidence, result: PromotionResult
) -> None:
    """Write the version's card into its run; a later decision on the same version replaces it."""
    card = draw_card(client, settings, case, version, evidence, result)
    with reaching(version.source):
        client.log_text(version.run_id, card, CARD_FILE)


def draw_card(
    client: MlflowClient, settings: Settings, case: Case, version: Version, evidence: Evidence, result: PromotionResult
) -> str:
    """The card as HTML."""
    from jinja2 import Environment

    environment = Environment(autoescape=True, finalize=_as_read, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"short": "{:.3f}".format, "change": _change}
    run = client.get_run(version.run_id)
    return environment.from_string(TEMPLATE).render(
        case=case,
        use_case=case.declared.use_case,
        version=version,
        dataset=version.dataset,
        result=result,
        evidence=evidence,
        metrics=declared(evidence.mine),
        classes=evidence.classes.to_dict("records"),
        slices=evidence.slices.to_dict("records"),
        groups=evidence.groups.to_dict("records"),
        deciles=evidence.deciles.to_dict("records"),
        parts=evidence.parts.to_dict("records"),
        reasons=runs.read_reasons(client, version, settings.data_roots)[:REASONS_SHOWN],
        curve=_curve(evidence.curve),
        backtest=_backtest(evidence.backtest),
        limits=[*case.declared.use_case.limits, *_found_limits(evidence, run.data.metrics, result)],
        data=list(_data(settings, case, version, result, len(evidence.classes))),
        lineage=list(_lineage(client, settings, case, version, run.data.tags)),
        made=list(_made(run.data.params)),
        drawn_at=datetime.now(UTC),
    )


def _found_limits(evidence: Evidence, metrics: dict[str, float], result: PromotionResult) -> Iterator[str]:
    """What the numbers themselves say against the model."""
    classes = evidence.classes
    if len(classes):
        yield from _class_limits(classes)
    if len(groups := evidence.groups) and (few := groups[groups["rows"] < FEW_ROWS].to_dict("records")):
        named = ", ".join(f"{row['attribute']} {row['value']} ({row['rows']})" for row in few)
        yield f"Of groups with fewer than {FEW_ROWS} test rows little is known: {named}."
    if evidence.comparison and (lost := evidence.comparison.lost):
        named = ", ".join(change.name for change in lost[:WEAK_CLASSES])
        more = f" and {len(lost) - WEAK_CLASSES} more" if len(lost) > WEAK_CLASSES else ""
        yield f"It answers no test row rightly of the classes {named}{more}, of which the champion knew some."
    if evidence.probe and evidence.probe.near_rows:
        yield f"{evidence.probe.sentence()}."
    elif near := metrics.get("near_duplicate_share"):
        yield f"{near:.0%} of the test rows nearly equal a training row: on entirely new ones it will do less well."
    for said in result.test_remarks:
        yield f"{said[:1].upper()}{said[1:]}."


def _class_limits(classes: pd.DataFrame) -> Iterator[str]:
    weak = classes.head(WEAK_CLASSES)
    named = ", ".join(f"{row['class']} ({row['f1']:.2f})" for row in weak.to_dict("records"))
    yield f"It is worst at the classes {named}; their F1 stands in brackets."
    if few := int((classes["rows"] < FEW_ROWS).sum()):
        yield (
            f"{few} of {len(classes)} classes have fewer than {FEW_ROWS} test rows: "
            "what it is worth there is not known well, as the wide intervals show."
        )


def _data(
    settings: Settings, case: Case, version: Version, result: PromotionResult, tested_classes: int
) -> Iterator[Fact]:
    dataset, source, noun = version.dataset, case.declared.source, case.declared.source.noun
    clock = case.declared.use_case.clock
    yield Fact(clock.noun.capitalize(), f"{clock.written(dataset.week)}, as of {dataset.as_of:%d %B %Y}")
    yield Fact(noun.capitalize(), f"{dataset.rows:,}, of which {dataset.train_rows:,} to train on")
    if case.declared.model.task.of_classes:
        yield Fact("Classes", str(dataset.classes or tested_classes))  # a snapshot counts those of outcomes alone
    if isinstance(source, Entities):
        with open_catalogue(settings.database_url).connect() as connection:
            yield Fact("Loaded from", ", ".join(read_sources(connection, source)))
    test = looked_at(
        f"{dataset.test_version}, {dataset.test.rows:,} {noun}, none of them trained on", result.test_looks
    )
    yield Fact("Frozen test set" if dataset.span is None else "Test set", test)
    if span := dataset.span:
        words = clock.words
        yield Fact(
            "Split by time",
            f"tested on {words(span.first)} to {words(span.last)}, trained on rows up to {words(span.trained_until)}",
        )


def _made(params: dict[str, str]) -> Iterator[Fact]:
    for name in sorted(params):
        if name.startswith("candidate") or name in ("max_features", "C"):
            yield Fact(name.removeprefix("candidate_").replace("_", " "), params[name])


def _lineage(
    client: MlflowClient, settings: Settings, case: Case, version: Version, tags: dict[str, str]
) -> Iterator[Fact]:
    dataset, initiator = version.dataset, case.initiator
    yield Fact("Snapshot", f"{dataset.use_case} {dataset.period}, revision {dataset.revision}: {dataset.uri}")
    yield Fact("Snapshot's SHA-256", dataset.sha256)
    yield Fact("Test set", dataset.test.uri)
    yield Fact("Test set's SHA-256", dataset.test.sha256)
    if revision := tags.get("mlflow.source.git.commit"):
        yield Fact("Code (git)", revision)
    yield Fact("Training, in MLflow", version.run_id, runs.run_url(client, settings.mlflow_ui_url, version.run_id))
    if trained := tags.get("prefect.flow_run_url"):
        yield Fact("Training, in Prefect", trained.rsplit("/", 1)[-1], trained)
    yield Fact("Decision, in Prefect", initiator.flow_run_id, initiator.flow_run_url)
    yield Fact("Decided by", initiator.name, initiator.airflow_url)


def _curve(curve: pd.DataFrame) -> list[dict[str, Any]]:
    """The points of the calibration picture, in a square of 100 by 100 with its origin at the top left."""
    if curve.empty:
        return []
    most = max(int(curve["rows"].max()), 1)
    return [
        {
            "x": 100 * row["confidence"],
            "y": 100 - 100 * row["right"],
            "low": 100 - 100 * row["low"],
            "high": 100 - 100 * row["high"],
            "r": 1.5 + 3.5 * (row["rows"] / most) ** 0.5,
            "said": f"{row['rows']:,.0f} rows: confidence {row['confidence']:.0%}, right {row['right']:.0%}",
        }
        for row in curve.to_dict("records")
    ]


def _backtest(table: pd.DataFrame) -> dict[str, Any] | None:
    """The two charts of a backtest: what a unit became, and how far it fell from its highest; None without one."""
    if table.empty:
        return None
    changes = table["position"].diff().fillna(table["position"]).ne(0)
    return {
        "charts": [
            _chart(table[["followed", "held"]], "What one unit became", 150, 1.0, lambda line: f"{line.iloc[-1]:.2f}"),
            _chart(
                table[["followed_drawdown", "held_drawdown"]],
                "Below its highest",
                70,
                0.0,
                lambda line: f"at worst {line.min():.1%}",
            ),
        ],
        "first": f"{table['moment'].min():%d %B %Y}",
        "last": f"{table['moment'].max():%d %B %Y}",
        "rows": len(table),
        "invested": float(table["position"].mean()),
        "changes": int(changes.sum()),
    }


def _chart(
    lines: pd.DataFrame, title: str, height: int, zero: float, in_words: Callable[[pd.Series], str]
) -> dict[str, Any]:
    """Two lines, mine and that of holding, in a picture 600 wide; `zero` is the level from which both begin."""
    least, most = min(float(lines.min().min()), zero), max(float(lines.max().max()), zero)
    scale = (height - 4) / ((most - least) or 1)
    across = 600 / max(len(lines) - 1, 1)

    def points(line: pd.Series) -> str:
        return " ".join(f"{place * across:.1f},{2 + (most - value) * scale:.1f}" for place, value in enumerate(line))

    mine, held = (lines.iloc[:, place].reset_index(drop=True) for place in (0, 1))
    return {
        "title": title,
        "height": height,
        "zero": 2 + (most - zero) * scale,
        "mine": in_words(mine),
        "held": in_words(held),
        "mine_points": points(mine),
        "held_points": points(held),
    }


def _as_read(shown: object) -> object:
    """A text without characters that hide what it says, or turn it round; what is marked up already stays."""
    return as_lines(shown) if type(shown) is str else shown


def _change(difference: float) -> str:
    return f"{round(difference, 3) + 0.0:+.3f}".replace("-", "−")  # never a negative zero; a minus as wide as the plus
