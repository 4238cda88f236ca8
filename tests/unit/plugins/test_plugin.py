"""Loading the plugin costs a task's process nothing but the plugin file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[3]
LOAD = """
import json, sys
from airflow import plugins_manager
found = [plugin.name for plugin in plugins_manager._get_plugins()[0]]
before = [name for name in sys.modules if name.startswith(("plugins.", "fastapi", "jinja2"))]
apps, _ = plugins_manager.get_fastapi_plugins()
print(json.dumps([found, before, [app["url_prefix"] for app in apps], "plugins.control_page.app" in sys.modules]))
"""


def test_the_page_is_imported_by_whoever_asks_for_its_application_alone(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(CHECKOUT / "plugins"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/airflow.db",
    }
    done = subprocess.run([sys.executable, "-c", LOAD], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found, before, prefixes, imported = json.loads(done.stdout.splitlines()[-1])
    assert "control_page" in found
    assert [name for name in before if name.startswith("plugins.")] == []
    assert (prefixes, imported) == (["/control-page"], True)
