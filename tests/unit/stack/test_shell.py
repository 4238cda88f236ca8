"""A shell of the stack: its tools come first, whatever the shell and whatever the folder's name."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stack.environment import airflow_command, shell_exports
from stack.settings import CHECKOUT, read_stack_settings
from stack.shell import open_shell

SHELLS = [shell for shell in ("bash", "dash", "zsh") if shutil.which(shell)]
TOOLS = ("bridge", "prefect", "mlflow", "python")
ASKED = "; ".join([*(f"command -v {tool}" for tool in TOOLS), "python -c 'import bridge, factory, flows'"])


@pytest.fixture
def stack(tmp_path, identity, urls):
    settings = read_stack_settings({"STACK_HOME": str(tmp_path / "it's a $HOME folder"), "PATH": "/usr/bin"})
    settings.home.make()
    settings.home.environment_file.write_text(shell_exports(settings, identity, urls))
    settings.home.tools.mkdir()
    airflow = settings.home.tools / "airflow"
    airflow.write_text(airflow_command(settings, identity, urls))
    airflow.chmod(0o700)
    return settings


def other_tools(folder: Path) -> str:
    """A PATH on which every name is somebody else's first, as iproute2's `bridge` is."""
    folder.mkdir()
    for tool in (*TOOLS, "airflow"):
        (folder / tool).write_text("#!/bin/sh\nexit 99\n")
        (folder / tool).chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


@pytest.mark.parametrize("shell", SHELLS)
def test_sourcing_the_file_puts_the_right_tools_first(stack, shell, tmp_path):
    environment = {"PATH": other_tools(tmp_path / "others"), "HOME": str(tmp_path), "PYTHONHOME": "/nowhere"}
    file = shlex.quote(f"./{stack.home.path.name}/env")
    script = f"set -eu; . {file}; {ASKED}; command -v airflow"

    asked = subprocess.run(
        [shutil.which(shell), "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True
    )

    assert asked.returncode == 0, asked.stderr
    assert asked.stdout.splitlines() == [
        *(str(CHECKOUT / ".venv-ml" / "bin" / tool) for tool in TOOLS),
        str(stack.home.tools / "airflow"),
    ]


def test_make_shell_opens_the_users_shell_with_the_same_tools(stack, tmp_path):
    environment = {
        "PATH": other_tools(tmp_path / "others"),
        "HOME": str(tmp_path),
        "SHELL": shutil.which("bash"),
        "STACK_HOME": str(stack.home.path),
    }
    asked = subprocess.run(
        [sys.executable, "-m", "stack", "shell"],
        cwd=CHECKOUT,
        env=environment,
        input=f"{ASKED}; command -v airflow; exit 7",
        capture_output=True,
        text=True,
    )

    assert asked.returncode == 7, asked.stderr
    assert asked.stdout.splitlines()[-1] == str(stack.home.tools / "airflow")
    assert asked.stdout.splitlines()[0] == str(CHECKOUT / ".venv-ml" / "bin" / "bridge")
    assert "the stack does not run" in asked.stderr


def test_an_interactive_shell_puts_them_first_after_its_own_start_file(stack, tmp_path):
    """Such a file often puts other tools first."""
    (tmp_path / ".bashrc").write_text(f"PATH={other_tools(tmp_path / 'others')}\n")
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "SHELL": shutil.which("bash"), "TERM": "dumb"}
    command = f"{sys.executable} -m stack shell"
    asked = subprocess.run(
        ["script", "-qec", command, "/dev/null"],
        cwd=CHECKOUT,
        env={**environment, "STACK_HOME": str(stack.home.path)},
        input="command -v bridge; exit\n",
        capture_output=True,
        text=True,
    )

    assert str(CHECKOUT / ".venv-ml" / "bin" / "bridge") in asked.stdout.splitlines()


def test_airflows_command_knows_the_stack_and_bears_no_mark_of_a_service(stack, identity, urls):
    written = airflow_command(stack, identity, urls)

    assert "AIRFLOW_HOME=" in written
    assert "STACK_SERVICE_OF" not in written
    assert "export PATH" not in written


def test_without_a_stack_there_is_no_shell(tmp_path):
    from stack.settings import Home, StackError

    with pytest.raises(StackError, match="make up"):
        open_shell(Home(tmp_path), os.environ)
