"""`import bridge`: what it offers, that all of it is there, and that it costs next to nothing."""

from __future__ import annotations

import ast
import inspect
import json
import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import bridge
from bridge import errors

CHECKOUT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("name", bridge.__all__)
def test_each_public_name_is_there_and_documented(name: str) -> None:
    offered = getattr(bridge, name)
    if inspect.isclass(offered) or inspect.isfunction(offered):
        assert inspect.getdoc(offered)
        assert getattr(import_module(offered.__module__), name) is offered


def test_nothing_else_is_public() -> None:
    public = {name for name in vars(bridge) if not name.startswith("_")}
    submodules = {file.stem for file in (CHECKOUT / "bridge").iterdir()}
    helpers = {"TYPE_CHECKING", "Any", "import_module"}
    assert public - submodules - helpers <= set(bridge.__all__)
    assert len(bridge.__all__) == len(set(bridge.__all__))


def test_every_error_is_part_of_the_face() -> None:
    raised = {name for name, value in vars(errors).items() if inspect.isclass(value) and issubclass(value, Exception)}
    assert raised == set(errors.__all__) <= set(bridge.__all__)


def test_type_checkers_see_what_is_imported_when_it_is_asked_for() -> None:
    source = ast.parse(Path(bridge.__file__).read_text())
    [for_checkers] = [node for node in source.body if isinstance(node, ast.If)]
    seen = {
        alias.name: node.module
        for node in for_checkers.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == bridge._HOMES


def test_the_version_is_the_distributions() -> None:
    declared = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    assert bridge.__version__ == declared["version"]
    newest = re.findall(r"^## (\S+)", (CHECKOUT / "CHANGELOG.md").read_text(), re.MULTILINE)[0]
    assert newest == declared["version"]


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"module 'bridge' has no attribute 'airflow_operator'"):
        bridge.airflow_operator  # noqa: B018


def test_importing_it_brings_the_errors_alone() -> None:
    code = (
        "import sys; before = set(sys.modules); import bridge; import json;"
        "print(json.dumps([name for name in sys.modules if name not in before]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    brought = {name for name in json.loads(done.stdout) if not name.startswith("json")}
    assert {name for name in brought if name.startswith("bridge")} == {"bridge", "bridge.errors"}
    assert {name.partition(".")[0] for name in brought} <= {"bridge", *sys.stdlib_module_names}
    assert brought & {"asyncio", "importlib.metadata", "logging", "ssl"} == set()
