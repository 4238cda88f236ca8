"""Write `prefect.yaml`: the deployments that follow from the declared use cases (`factory.use_cases`).

Owns the file's text (prefect.yaml.jinja). How a deployment is made from the file is `flows.deploying`'s.

    python -m flows.declaring
"""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, StrictUndefined

from factory.use_cases import ALL

TEMPLATE = Path(__file__).with_name("prefect.yaml.jinja")
DECLARED = Path(__file__).resolve().parents[1] / "prefect.yaml"


def draw() -> str:
    """The file's text."""
    environment = Environment(  # noqa: S701 - YAML, of names that stand in the package
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, undefined=StrictUndefined
    )
    return environment.from_string(TEMPLATE.read_text()).render(use_cases=ALL)


def main() -> None:
    """Write the file anew."""
    DECLARED.write_text(draw())
    print(f"{DECLARED.name} declares the deployments of {', '.join(use_case.name for use_case in ALL)}")


if __name__ == "__main__":
    main()
