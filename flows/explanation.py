"""Why a registered model answers as it does, on the command line.

Owns what is said. The reasons are `flows.core.explanation`'s, the model `flows.adapters.registry`'s.

    python -m flows.explanation "coffret 3 DVD la trilogie"
    python -m flows.explanation --version 4 --json "coffret 3 DVD la trilogie"
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bridge.plain_text import as_json, as_lines
from factory import use_cases
from factory.settings import Settings, read_settings
from factory.text import product_text
from factory.use_cases.sources import Texts

if TYPE_CHECKING:
    from flows.adapters.registry import Version
    from flows.core.explanation import Explanation


def main(arguments: Sequence[str] | None = None) -> int:
    """Explain the text of the command line; gives the exit code."""
    from flows.adapters.registry import RegistryError

    options = _parser().parse_args(arguments)
    try:
        version, found = explain_text(read_settings(), options.use_case, options.text, options.version, options.terms)
    except RegistryError as error:
        print(as_lines(str(error)), file=sys.stderr)
        return 1
    if options.json:
        print(as_json(as_document(version, found), indent=2))
    else:
        print(as_lines(as_text(version, found)))
    return 0


def explain_text(
    settings: Settings, use_case: str, text: str, number: str | None = None, strongest: int = 10
) -> tuple[Version, Explanation]:
    """The version that was asked (that of the number, else the champion) and its answer with the strongest terms.

    The text is cleaned as a product's is. Raises RegistryError for a use case of no texts, and when there is no such
    version.
    """
    from flows.adapters import registry
    from flows.core.explanation import explain

    declared = use_cases.choose_model(use_case, None)
    if not isinstance(declared.source, Texts):
        raise registry.RegistryError(
            f"{use_case} is a table of {declared.source.noun}, of which no text is explained: its model cards tell how "
            "it ranks, and MLflow holds the tables of each training"
        )
    client, model = registry.connect(settings.mlflow_tracking_uri), declared.name
    if number is not None:
        version = registry.get_version(client, model, number)
    elif (champion := registry.find_version(client, model, registry.CHAMPION)) is None:
        raise registry.RegistryError(f"model {model!r} has no champion yet: name a version with --version")
    else:
        version = champion
    (found,) = explain(
        registry.load_model(client, version, settings.data_roots), [product_text(text, None)], strongest=strongest
    )
    return version, found


def as_text(version: Version, found: Explanation) -> str:
    """The explanation for people."""
    first, second = found.predicted_class, found.runner_up
    other = f"{second} ({found.runner_up_confidence:.3f})"
    lines = [
        f"{version.model} v{version.number}: {first} ({found.confidence:.3f}), then {other}",
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
        "predicted_class": found.predicted_class,
        "confidence": found.confidence,
        "runner_up": found.runner_up,
        "runner_up_confidence": found.runner_up_confidence,
        "log_odds": found.log_odds,
        "offset": found.offset,
        "terms": found.terms.to_dict(orient="records"),
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m flows.explanation", description="Why a model answers as it does.")
    parser.add_argument("text", help="the product's text")
    parser.add_argument("--use-case", default="products", help="default products")
    parser.add_argument("--version", help="a registered version; default the champion")
    parser.add_argument("--terms", type=int, default=10, help="how many terms are told; default 10")
    parser.add_argument("--json", action="store_true", help="for programs")
    return parser


if __name__ == "__main__":
    sys.exit(main())
