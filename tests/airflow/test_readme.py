"""What the README shows is what runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from bridge import cli
from tests.called import called

README = (Path(__file__).resolve().parents[2] / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_dag_of_the_readme_is_a_dag() -> None:
    [source] = blocks("python")
    source = source.replace('with DAG("nightly", schedule="@daily"):', 'with DAG("nightly", schedule="@daily") as dag:')
    names: dict[str, Any] = {}
    exec(compile(source, "README.md", "exec"), names)  # noqa: S102 — the project's own text
    train = names["dag"].get_task("train")
    assert train.deployment_name == "training-pipeline/products"
    assert train.parameters == {"max_features": 10_000, "C": 0.5}


def test_every_bridge_command_of_the_readme_exists() -> None:
    commands = set(re.findall(r"(?:^|\$\()bridge (\w+)", "".join(blocks("sh")), re.MULTILINE))
    assert {"doctor", "run", "status", "cancel"} <= commands
    for command in sorted(commands):
        shown = called(cli.main, command, "--help", environment={})
        assert shown.returncode == 0, shown.stderr


def test_every_make_target_of_the_readme_exists() -> None:
    makefile = (Path(__file__).resolve().parents[2] / "Makefile").read_text()
    targets = set(re.findall(r"make ([a-z]+)\b", README)) - {"them"}
    missing = [target for target in targets if not re.search(rf"^{target}:", makefile, re.MULTILINE)]
    assert not missing


def test_every_link_of_the_readme_leads_somewhere() -> None:
    root = Path(__file__).resolve().parents[2]
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    assert links
    assert not [link for link in links if not (root / link).exists()]
