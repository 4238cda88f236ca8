"""The wheel of the bridge, in a new environment with Airflow alone: what users install, and nothing of this checkout.

Runs where Prefect is installed, for the real server; what is tested runs in the new environment.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from email.parser import Parser
from pathlib import Path

import pytest

from tests.live_prefect import CHECKOUT, LivePrefect
from tests.matrix import supported

DECLARED = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
DIST_INFO = f"airflow_provider_prefect-{DECLARED['version']}.dist-info"
README = CHECKOUT / "bridge" / "README.md"
NEWEST_AIRFLOW = supported.AIRFLOW[0].version
AIRFLOW = os.environ.get("WHEEL_AIRFLOW", NEWEST_AIRFLOW)
PYTHON = os.environ.get("WHEEL_PYTHON", sys.executable)
"""What `make test-matrix` chooses; `make test-wheel` takes the newest Airflow and this Python."""


@pytest.fixture(scope="session")
def uv() -> str:
    """The tool that builds and installs; `make test-wheel` brings it."""
    own = CHECKOUT / ".venv-tools" / "bin" / "uv"
    found = str(own) if own.exists() else shutil.which("uv")
    assert found, "there is no uv: run make test-wheel"
    return found


@pytest.fixture(scope="session")
def wheel(uv: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the sources that are under version control here, as a release would be."""
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("built")
    files = subprocess.run(
        ["git", "ls-files", "bridge", "pyproject.toml", "LICENSE"],
        cwd=CHECKOUT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in files.stdout.split():
        if (CHECKOUT / name).exists():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(CHECKOUT / name, source / name)
    run([uv, "build", "--wheel", "--out-dir", str(built), str(source)], built)
    [made] = built.glob("*.whl")
    return made


def run(command: list[str], folder: Path, **environment: str) -> str:
    """What the command printed, from a folder and an environment that know nothing of this checkout."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "AIRFLOW", "PREFECT_", "BRIDGE_", "VIRTUAL_ENV", "PYTEST_"))
    }
    done = subprocess.run(command, cwd=folder, env={**inherited, **environment}, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@dataclass
class Installed:
    """A new environment that holds Airflow and the wheel."""

    home: Path

    @property
    def variables(self) -> dict[str, str]:
        return {
            "HOME": str(self.home),
            "AIRFLOW_HOME": str(self.home / "airflow"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.home / "dags"),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.home}/airflow.db",
            "DO_NOT_TRACK": "1",
        }

    def python(self, code: str, **environment: str) -> str:
        return run([str(self.home / "venv" / "bin" / "python"), "-c", code], self.home, **self.variables, **environment)

    def command(self, *words: str, **environment: str) -> str:
        name, *arguments = words
        command = [str(self.home / "venv" / "bin" / name), *arguments]
        return run(command, self.home, **self.variables, **environment)


@pytest.fixture(scope="session")
def installed(uv: str, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    home = tmp_path_factory.mktemp("elsewhere")
    pins = home / "constraints.txt"
    # The versions that are tested here, without their hashes: a constraint file takes none. An older Airflow has bounds
    # of its own, and is installed as anybody would do it today.
    tested = (CHECKOUT / "requirements" / "airflow.txt").read_text()
    pinned = re.findall(r"^[\w.\[\]-]+==[^\\\n]+", tested, re.MULTILINE)
    needs = next((each.requirements for each in supported.AIRFLOW if each.version == AIRFLOW), ())
    pins.write_text("\n".join(pinned if AIRFLOW == NEWEST_AIRFLOW else [f"apache-airflow=={AIRFLOW}", *needs]))
    run([uv, "venv", "--quiet", "--python", PYTHON, str(home / "venv")], home)
    python = str(home / "venv" / "bin" / "python")
    wanted = f"airflow-provider-prefect[airflow] @ {wheel.as_uri()}"
    run([uv, "pip", "install", "--quiet", "--python", python, "--constraint", str(pins), wanted], home)
    return Installed(home)


def test_the_wheel_holds_the_bridge_alone(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {"bridge", DIST_INFO}
    assert "bridge/py.typed" in names
    assert f"{DIST_INFO}/licenses/LICENSE" in names
    assert not [name for name in names if "__pycache__" in name or "test_" in name]


def test_the_metadata_says_what_it_is(wheel: Path) -> None:
    text = zipfile.ZipFile(wheel).read(f"{DIST_INFO}/METADATA").decode()
    metadata = Parser().parsestr(text)
    assert metadata["License-Expression"] == "Apache-2.0"
    assert "Framework :: Apache Airflow :: Provider" in metadata.get_all("Classifier", [])
    assert "Typing :: Typed" in metadata.get_all("Classifier", [])
    assert metadata.get_payload().strip() == README.read_text().strip()
    unconditional = [each for each in metadata.get_all("Requires-Dist", []) if "extra ==" not in each]
    assert {re.match(r"[\w-]+", each)[0] for each in unconditional} == {"httpx", "jsonschema", "pydantic", "websockets"}
    assert not re.search(r"https?://(?!127\.0\.0\.1|docs\.)", re.sub(r"(?s)\n\n.*", "", text))


def test_it_is_installed_with_airflow_alone(installed: Installed) -> None:
    code = (
        "import bridge, json, importlib.util as u, sys;"
        "print(json.dumps([bridge.__file__, [n for n in ('prefect', 'factory', 'flows', 'dags', 'tests') "
        "if u.find_spec(n)], sys.path]))"
    )
    where, others, path = json.loads(installed.python(code))
    assert where.startswith(str(installed.home / "venv"))
    assert others == []
    assert not [entry for entry in path if Path(entry or installed.home).is_relative_to(CHECKOUT)]


def test_the_environment_is_the_one_that_was_asked_for(installed: Installed) -> None:
    code = "import airflow, sys; print(airflow.__version__, '{}.{}'.format(*sys.version_info[:2]))"
    version, python = installed.python(code).split()[-2:]
    assert version == AIRFLOW
    assert python == run([PYTHON, "-c", "import sys; print('{}.{}'.format(*sys.version_info[:2]))"], CHECKOUT).strip()


def test_every_module_can_be_imported(installed: Installed) -> None:
    code = (
        "import bridge, importlib, pkgutil\n"
        "names = [found.name for found in pkgutil.walk_packages(bridge.__path__, 'bridge.')]\n"
        "names.remove('bridge.testing.fixtures')  # a plugin of pytest, which is not installed\n"
        "for name in names: importlib.import_module(name)\n"
        "print('IMPORTED', len(names))"
    )
    [count] = re.findall(r"^IMPORTED (\d+)$", installed.python(code), re.MULTILINE)
    modules = [file for file in (CHECKOUT / "bridge").rglob("*.py") if file.name != "__init__.py"]
    assert int(count) >= len(modules) - 1


def test_a_watcher_is_there_or_says_which_airflow_it_needs(installed: Installed) -> None:
    code = (
        "from airflow.sdk.exceptions import AirflowOptionalProviderFeatureException as Lacking\n"
        "from bridge.in_airflow.watching import PrefectEventTrigger\n"
        "try: print('MADE', PrefectEventTrigger('a/b').serialize()[0])\n"
        "except Lacking as error: print('LACKING', error)"
    )
    said = installed.python(code).splitlines()[-1]
    lacking = [each.minor for each in supported.AIRFLOW if "PrefectEventTrigger" in each.lacks]
    if ".".join(AIRFLOW.split(".")[:2]) in lacking:
        assert said.startswith("LACKING PrefectEventTrigger needs Airflow 3.3")
    else:
        assert said == "MADE bridge.in_airflow.watching.PrefectEventTrigger"


def test_what_is_used_of_airflow_beyond_its_public_interface_is_there(uv: str, installed: Installed) -> None:
    python = str(installed.home / "venv" / "bin" / "python")
    run([uv, "pip", "install", "--quiet", "--python", python, "pytest", "pytest-asyncio"], installed.home)
    proofs = installed.home / "test_airflow_internals.py"
    shutil.copy(CHECKOUT / "tests" / "airflow" / proofs.name, proofs)
    here = ["-o", "asyncio_mode=auto", "-p", "no:cacheprovider", "-k", "not one_module and not control_page"]
    said = installed.command("python", "-m", "pytest", "-q", *here, str(proofs))
    assert re.search(r"\d+ passed", said)


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("list", ["airflow-provider-prefect", "Run Prefect deployments from Apache Airflow"]),
        ("hooks", ["prefect", "bridge.in_airflow.hook.PrefectHook"]),
        ("links", ["bridge.in_airflow.links.PrefectFlowRunLink"]),
        ("triggers", ["bridge.in_airflow.triggers"]),
        ("notifications", ["bridge.in_airflow.notifier.BridgeNotifier"]),
        ("widgets", ["extra__prefect__account_id", "extra__prefect__proxy"]),
        ("behaviours", ["prefect"]),
    ],
)
def test_airflow_lists_what_the_provider_brings(installed: Installed, what: str, expected: list[str]) -> None:
    listed = installed.command("airflow", "providers", what, "--output", "json")
    for name in expected:
        assert name in listed


@pytest.fixture(scope="session")
def migrated(installed: Installed) -> Installed:
    [source] = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    (installed.home / "dags").mkdir()
    (installed.home / "dags" / "nightly.py").write_text(source)
    installed.command("airflow", "db", "migrate")
    return installed


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivePrefect]:
    server = LivePrefect(tmp_path_factory.mktemp("prefect"))
    server.start()
    try:
        with server.serving(CHECKOUT / "tests" / "contract" / "flows_for_tests.py", "t", flows=5):
            yield server
    finally:
        server.stop()


RUN_NIGHTLY = """
import json
from airflow.dag_processing.dagbag import DagBag
bag = DagBag({folder!r})
assert not bag.import_errors, bag.import_errors
run = bag.dags["nightly"].test()
ti = run.get_task_instance("echo")
print("ENDED", json.dumps([str(run.state), ti.xcom_pull(task_ids="echo"), ti.xcom_pull(task_ids="echo", key={key!r})]))
"""


def test_the_readmes_dag_runs_a_real_flow(migrated: Installed, served: LivePrefect) -> None:
    connection = json.dumps({"conn_type": "prefect", "host": served.api_url})
    code = RUN_NIGHTLY.format(folder=str(migrated.home / "dags"), key="prefect_flow_run_id")
    printed = migrated.python(code, AIRFLOW_CONN_PREFECT_DEFAULT=connection)
    state, result, flow_run_id = json.loads(re.findall(r"^ENDED (.*)$", printed, re.MULTILINE)[-1])
    assert state == "success", printed
    assert result == {"text": "from nightly", "number": 1}
    assert served.request("GET", f"/flow_runs/{flow_run_id}")["state"]["type"] == "COMPLETED"


def test_the_readmes_dag_runs_on_the_fake_as_well(migrated: Installed) -> None:
    code = RUN_NIGHTLY.format(folder=str(migrated.home / "dags"), key="prefect_flow_run_id")
    fake = (
        "import os\nfrom bridge.testing import FakePrefect\n"
        "prefect = FakePrefect().__enter__()\n"
        "prefect.deployment('echo/t')\n"
        "prefect.on_run('echo/t', result={'text': 'from the fake', 'number': 2})\n"
        "os.environ['AIRFLOW_CONN_PREFECT_DEFAULT'] = prefect.airflow_connection()\n"
    )
    printed = migrated.python(f"{fake}{code}prefect.__exit__(None, None, None)\n")
    state, result, _ = json.loads(re.findall(r"^ENDED (.*)$", printed, re.MULTILINE)[-1])
    assert (state, result) == ("success", {"text": "from the fake", "number": 2}), printed


@pytest.fixture(scope="session")
def with_lineage(uv: str, migrated: Installed) -> Installed:
    """The same environment with Airflow's OpenLineage provider, which writes its events into a file."""
    python = str(migrated.home / "venv" / "bin" / "python")
    wanted = "apache-airflow-providers-openlineage==2.20.3"
    pins = str(migrated.home / "constraints.txt")
    run([uv, "pip", "install", "--quiet", "--python", python, "--constraint", pins, wanted], migrated.home)
    return migrated


def test_the_lineage_of_the_flow_run_hangs_on_the_task(with_lineage: Installed, served: LivePrefect) -> None:
    events = with_lineage.home / "lineage.json"
    code = RUN_NIGHTLY.format(folder=str(with_lineage.home / "dags"), key="prefect_flow_run_id")
    printed = with_lineage.python(
        code,
        AIRFLOW_CONN_PREFECT_DEFAULT=json.dumps({"conn_type": "prefect", "host": served.api_url}),
        AIRFLOW__OPENLINEAGE__TRANSPORT=json.dumps({"type": "file", "log_file_path": str(events), "append": True}),
    )
    state, _, flow_run_id = json.loads(re.findall(r"^ENDED (.*)$", printed, re.MULTILINE)[-1])
    assert state == "success", printed
    labels = served.request("GET", f"/flow_runs/{flow_run_id}")["labels"]
    told = [json.loads(line) for line in events.read_text().splitlines()]
    of_task = [event for event in told if event["job"]["name"] == "nightly.echo"]
    assert {event["eventType"] for event in of_task} == {"START", "COMPLETE"}
    assert {event["run"]["runId"] for event in of_task} == {labels["openlineage.parent.run_id"]}
    assert labels["openlineage.parent.job"] == "nightly.echo"
    assert labels["openlineage.parent.namespace"] == of_task[0]["job"]["namespace"]
