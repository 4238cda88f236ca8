"""Why a registered model answers as it does, on the command line: of a text by its terms, of an entity by its columns.

Owns what is said. The reasons are `flows.core.explanation`'s and `flows.core.table_explanation`'s, the model
`flows.adapters.registry`'s.

    python -m flows.explanation "coffret 3 DVD la trilogie"
    python -m flows.explanation --version 4 --json "coffret 3 DVD la trilogie"
    python -m flows.explanation --use-case churn 0042
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bridge.plain_text import as_json, as_lines
from factory import use_cases
from factory.errors import FactoryError
from factory.settings import Settings, read_settings
from factory.text import product_text
from factory.use_cases.sources import Texts
from factory.use_cases.use_case import Declared

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from flows.adapters.registry import Version
    from flows.core.explanation import Explanation
    from flows.core.table_explanation import TableExplanation


def main(arguments: Sequence[str] | None = None) -> int:
    """Explain the text, or the entity of that id, of the command line; gives the exit code."""
    from flows.adapters.registry import RegistryError

    options = _parser().parse_args(arguments)
    try:
        document, lines = _explained(read_settings(), options)
    except (RegistryError, FactoryError, ValueError) as error:
        print(as_lines(str(error)), file=sys.stderr)
        return 1
    print(as_json(document, indent=2) if options.json else as_lines(lines))
    return 0


def _explained(settings: Settings, options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """The explanation for programs, and for people."""
    declared = use_cases.choose_model(options.use_case, options.model)
    if isinstance(declared.source, Texts):
        version, found = explain_text(settings, declared, options.asked, options.version, options.terms)
        return as_document(version, found), as_text(version, found)
    version, told = explain_entity(settings, declared, options.asked, options.version)
    return entity_document(version, told, options.terms), entity_text(version, told, options.terms)


def explain_text(
    settings: Settings, declared: Declared, text: str, number: str | None = None, strongest: int = 10
) -> tuple[Version, Explanation]:
    """The version that was asked (that of the number, else the champion) and its answer with the strongest terms.

    The text is cleaned as a product's is. Raises RegistryError when there is no such version.
    """
    from flows.adapters import registry
    from flows.core.explanation import explain

    client, version = _asked(settings, declared, number)
    (found,) = explain(
        registry.load_model(client, version, settings.data_roots), [product_text(text, None)], strongest=strongest
    )
    return version, found


def explain_entity(
    settings: Settings, declared: Declared, entity_id: str, number: str | None = None
) -> tuple[Version, TableExplanation]:
    """The version that was asked and its answer to the entity as the newest snapshot has it, with what each column
    moved.

    A typical row is one of the test rows that the version was judged on. Raises RegistryError when there is no such
    version, and EntityUnknown for an id that the snapshot does not hold.
    """
    from flows.adapters import datasets, registry, runs
    from flows.core.logic import logic_of_entities

    client, version = _asked(settings, declared, number)
    logic = logic_of_entities(declared)
    row = datasets.read_entity(settings, declared.use_case.name, entity_id)
    model = registry.load_model(client, version, settings.data_roots, trusted=logic.trusted)
    return version, logic.explain(model, row, runs.read_reference(client, version, settings.data_roots))


def _asked(settings: Settings, declared: Declared, number: str | None) -> tuple[MlflowClient, Version]:
    """The version of the number, else the champion; raises RegistryError where there is none."""
    from flows.adapters import registry

    client, model = registry.connect(settings.mlflow_tracking_uri), declared.name
    if number is not None:
        return client, registry.get_version(client, model, number)
    if champion := registry.find_version(client, model, registry.CHAMPION):
        return client, champion
    raise registry.RegistryError(f"model {model!r} has no champion yet: name a version with --version")


def as_text(version: Version, found: Explanation) -> str:
    """The explanation for people."""
    first, second = found.prediction, found.runner_up
    other = f"{second} ({found.runner_up_score:.3f})"
    lines = [
        f"{version.model} v{version.number}: {first} ({found.score:.3f}), then {other}",
        f"for {first} and against {second}, as parts of the log odds {found.log_odds:+.3f}:",
        *(f"  {row.contribution:+8.3f}  {row.term!r}" for row in found.terms.itertuples()),
    ]
    rest = round(found.log_odds - found.offset - float(found.terms["contribution"].sum()), 6) + 0.0  # no "-0.000"
    return "\n".join([*lines, f"  {rest:+8.3f}  all other terms", f"  {found.offset:+8.3f}  the classes themselves"])


def as_document(version: Version, found: Explanation) -> dict[str, Any]:
    """The explanation for programs."""
    return {
        "model": version.model,
        "version": version.number,
        "text": found.text,
        "predicted_class": found.prediction,
        "confidence": found.score,
        "runner_up": found.runner_up,
        "runner_up_confidence": found.runner_up_score,
        "log_odds": found.log_odds,
        "offset": found.offset,
        "terms": found.terms.to_dict(orient="records"),
    }


def entity_text(version: Version, found: TableExplanation, strongest: int) -> str:
    """The explanation of an entity for people."""
    shown, rest = found.columns.head(strongest), found.columns.iloc[strongest:]
    lines = [
        f"{version.model} v{version.number}: {found.entity_id} is answered {found.prediction} ({found.score:.4g})",
        f"{found.measure}: {found.value:+.3f}, of a typical one {found.base:+.3f}; between them lie",
        *(
            f"  {row.contribution:+8.3f}  {row.column} {row.value} (typical: {row.typical})"
            for row in shown.itertuples()
        ),
    ]
    if len(rest):
        lines.append(f"  {float(rest['contribution'].sum()):+8.3f}  all {len(rest)} other columns")
    return "\n".join(lines)


def entity_document(version: Version, found: TableExplanation, strongest: int) -> dict[str, Any]:
    """The explanation of an entity for programs."""
    return {
        "model": version.model,
        "version": version.number,
        "entity_id": found.entity_id,
        "prediction": found.prediction,
        "score": found.score,
        "measure": found.measure,
        "value": found.value,
        "base": found.base,
        "columns": found.columns.head(strongest).to_dict(orient="records"),
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m flows.explanation", description="Why a model answers as it does.")
    parser.add_argument("asked", help="the product's text; of a table the id of the entity")
    parser.add_argument("--use-case", default="products", help="default products")
    parser.add_argument("--model", help="which of its models, where it has several")
    parser.add_argument("--version", help="a registered version; default the champion")
    parser.add_argument("--terms", type=int, default=10, help="how many terms or columns are told; default 10")
    parser.add_argument("--json", action="store_true", help="for programs")
    return parser


if __name__ == "__main__":
    sys.exit(main())
