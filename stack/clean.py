"""`make clean`: removes what installation and stack have made, and nothing else.

Owns the mark by which a stack's folder is known and the names of what stands in one; whatever else lies there is kept.
Runs with or without anything installed: it needs the standard library alone, and its syntax stays readable for an old
Python.
"""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
DEFAULT_HOME = CHECKOUT / ".stack"

MARK = ".made-by-the-stack"
"""A stack writes this file into its folder. Without it nothing there is removed."""

IDENTITY = "identity.json"
"""By these secrets in it an earlier stack is known, which made no mark."""
SECRETS = {"admin_password", "jwt_secret", "fernet_key"}

MADE = (
    "airflow",
    "airflow-passwords.json",
    "artifacts",
    "bin",
    "env",
    IDENTITY,
    "lock",
    "logs",
    "mlflow-login.*",
    "postgresql",
    "prefect",
    "shell",
    "snapshots",
    "sqlite",
    "stack.json",
    "standalone",
    "tmp",
    MARK,
)
"""What a stack, the installation (logs) and the flows by themselves (standalone) make in a stack's folder."""

ENVIRONMENTS = (".venv-tools", ".venv-airflow", ".venv-ml", ".venv-browser")
CACHES = (".mypy_cache", ".ruff_cache", ".pytest_cache")
WHEELS = "airflow_provider_prefect-*"
DOWN_SECONDS = 300


class CleanError(Exception):
    """Why nothing, or no more, was removed."""


def main() -> int:
    """End the stack of STACK_HOME and remove it, the environments and the caches; gives the exit code."""
    try:
        home = read_home(os.environ)
        require_stack(home)
        end_stack(home)
        for line in [*remove_home(home), *remove_from_checkout()]:
            print(line)
    except CleanError as error:
        print(f"clean: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"clean: {error.filename} cannot be removed: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def read_home(environ: "Mapping[str, str]") -> Path:
    """The stack's folder: STACK_HOME, else `.stack` in the checkout. Raises CleanError for `~` of an unknown user."""
    named = environ.get("STACK_HOME") or DEFAULT_HOME
    try:
        return Path(named).expanduser().absolute()
    except RuntimeError as error:
        raise CleanError(f"STACK_HOME={named} cannot be found: {error}") from None


def is_stacks(home: Path) -> bool:
    """Whether a stack made the folder, or it is the checkout's own; a link in that one's place leads anywhere."""
    return (home / MARK).is_file() or is_earlier_stacks(home) or (home == DEFAULT_HOME and not home.is_symlink())


def is_earlier_stacks(home: Path) -> bool:
    """Whether a stack made the folder before there were marks; others have files of that name, too."""
    try:
        kept = json.loads((home / IDENTITY).read_text())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False
    return isinstance(kept, dict) and kept.keys() >= SECRETS


def require_stack(home: Path) -> None:
    """Pass if the folder is a stack's, or not there; raises CleanError otherwise."""
    if home.exists() and not is_stacks(home):
        raise CleanError(
            f"{home} was made by no stack (it holds no {MARK}): nothing was removed\n"
            f"  remedy:   name a stack's folder by STACK_HOME, or leave it out for {DEFAULT_HOME}"
        )


def end_stack(home: Path) -> None:
    """Ask the stack to end; raises CleanError where it runs on."""
    python = CHECKOUT / ".venv-ml" / "bin" / "python"
    if home.exists() and python.exists():
        command = [str(python), "-m", "stack", "down"]
        environment = dict(os.environ, STACK_HOME=str(home))
        try:
            ended = subprocess.run(command, cwd=str(CHECKOUT), env=environment, timeout=DOWN_SECONDS)
        except subprocess.TimeoutExpired:
            raise CleanError(f"the stack in {home} does not end within {DOWN_SECONDS} s") from None
        if ended.returncode:
            raise CleanError(f"the stack in {home} could not be ended: nothing was removed")
    if runs(home):
        raise CleanError(f"a stack runs in {home}: nothing was removed\n  remedy:   make install, then make down")


def runs(home: Path) -> bool:
    """Whether a supervisor holds the folder's lock."""
    lock = home / "lock"
    if not lock.exists():
        return False
    with lock.open("a") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def remove_home(home: Path) -> "list[str]":
    """Remove what a stack made in its folder, and the folder if that was all; says what is kept."""
    if not home.exists():
        return []
    for path in [path for path in home.iterdir() if is_made(path.name)]:
        remove(path)
    kept = sorted(path.name for path in home.iterdir())
    if kept:
        return ["{}: kept, because no stack made {}".format(home, ", ".join(kept))]
    if home.is_symlink():
        home.unlink()
    else:
        home.rmdir()
    return []


def is_made(name: str) -> bool:
    """Whether a stack makes something of that name in its folder; `env.123` is one that was killed while it wrote."""
    return any(fnmatch(name, made) or fnmatch(name, made + ".[0-9]*") for made in MADE)


def remove_from_checkout() -> "list[str]":
    """Remove environments, caches and wheels; says which environment is kept because it is none."""
    kept = []
    for name in ENVIRONMENTS:
        folder = CHECKOUT / name
        if folder.exists() and not (folder / "pyvenv.cfg").is_file():
            kept.append(f"{folder}: kept, because it is no environment of Python's")
        else:
            remove(folder)
    for name in CACHES:
        remove(CHECKOUT / name)
    dist = CHECKOUT / "dist"
    for wheel in dist.glob(WHEELS):
        remove(wheel)
    if dist.is_dir() and not any(dist.iterdir()):
        dist.rmdir()
    return kept


def remove(path: Path) -> None:
    """Remove a file, a link (not what it leads to) or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(str(path))
    elif path.exists() or path.is_symlink():
        path.unlink()


if __name__ == "__main__":
    sys.exit(main())
