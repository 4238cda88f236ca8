"""Installs the environments of this checkout from hashed requirements, and nothing when they are as they should be.

Owns `.venv-tools` (uv), `.venv-airflow` and `.venv-ml` and the stamp in each. Runs before anything is installed: it
needs the standard library alone, and its syntax stays readable for a Python that is too old, so that it can say so.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
OLDEST, TOO_NEW = (3, 11), (3, 14)

PLANS = {"run": ("airflow", "ml"), "test": ("airflow-test", "ml-test")}
"""Requirement files by what they are wanted for; a test environment holds everything of the plain one."""

INSTALL_SECONDS = 3600
"""Two gigabytes over a slow line take less; what takes longer hangs."""

UNREACHABLE = re.compile(
    r"connect|connection|resolve|dns|timed? ?out|unreachable|network|certificate|proxy|tls|ssl"
    r"|failed to fetch|error sending request|no matching distribution",
    re.IGNORECASE,
)


class InstallError(Exception):
    """What stood in the way, with the log file and the remedy."""


def main(arguments: "list[str]") -> int:
    """Install what is missing for `run` (default) or `test`; gives the exit code."""
    try:
        check_python(sys.version_info[:2], sys.executable)
        purpose = arguments[0] if arguments else "run"
        if purpose == "tools":
            return install_tools()
        for requirements in PLANS[purpose]:
            install_environment(requirements)
    except InstallError as error:
        print(f"install: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        remedy = "look at its owner and at the space on the disk; a second user needs a checkout of their own"
        print(f"install: {error.filename or CHECKOUT}: {error.strerror}\n  remedy:   {remedy}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def check_python(version: "tuple[int, ...]", executable: str) -> None:
    """Raise InstallError unless this Python is one that every requirement has wheels for."""
    if not OLDEST <= tuple(version) < TOO_NEW:
        raise InstallError(
            "{} is Python {}.{}; this project needs 3.11, 3.12 or 3.13\n"
            "  remedy:   name another one, e.g. make demo PYTHON=python3.11".format(executable, *version)
        )


def install_tools() -> int:
    """uv, in an environment of its own, by pip."""
    folder = CHECKOUT / ".venv-tools"
    stamps = stamps_of("tools")
    if not is_installed(folder, stamps, "tools"):
        began = time.monotonic()
        say("installing uv into .venv-tools ...")
        run("tools", [sys.executable, "-m", "venv", "--clear", str(folder)])
        requirements = str(CHECKOUT / "requirements" / "tools.txt")
        run("tools", [str(folder / "bin" / "python"), "-m", "pip", "install", "--require-hashes", "-r", requirements])
        stamp(folder, stamps, began)
    return 0


def install_environment(requirements: str) -> None:
    """One of the two environments, exactly as its requirements file says, and this checkout editable in it."""
    name = requirements.split("-")[0]
    folder = CHECKOUT / (".venv-" + name)
    stamps = stamps_of(name, requirements)
    if is_installed(folder, stamps, requirements):
        return
    install_tools()
    uv = str(CHECKOUT / ".venv-tools" / "bin" / "uv")
    began = time.monotonic()
    say(f"installing requirements/{requirements}.txt into {folder.name} ...")
    if (folder / ".installed").exists():
        (folder / ".installed").unlink()
    python = str(folder / "bin" / "python")
    if not has_this_python(folder):
        run(name, [uv, "venv", "--no-project", "--clear", "--python", sys.executable, str(folder)])
    listing = str(CHECKOUT / "requirements" / (requirements + ".txt"))
    sync = [uv, "pip", "sync", "--python", python, "--require-hashes", "--compile-bytecode", listing]
    run(name, sync)
    # The build backend is uv's own and comes with it: no network is needed for this step.
    run(name, [uv, "pip", "install", "--python", python, "--no-deps", "--offline", "--editable", str(CHECKOUT)])
    stamp(folder, stamps, began)


def has_this_python(folder: Path) -> bool:
    """Whether the environment was made with the Python version that runs here."""
    try:
        said = (folder / "pyvenv.cfg").read_text()
    except OSError:
        return False
    return re.search(r"(?m)^version(_info)? *= *{}\.{}\.".format(*sys.version_info[:2]), said) is not None


def stamps_of(*names: str) -> "dict[str, str]":
    """Fingerprint by requirements file, of its content and of what decides how it is installed."""
    declared = (CHECKOUT / "pyproject.toml").read_bytes()
    project = re.search(rb"(?s)\[project\](.*?)\[dependency-groups\]", declared)
    base = "{}.{} {}".format(*sys.version_info[:2], CHECKOUT).encode() + (project.group(1) if project else b"")
    return {
        name: hashlib.sha256(base + (CHECKOUT / "requirements" / (name + ".txt")).read_bytes()).hexdigest()
        for name in names
    }


def is_installed(folder: Path, stamps: "dict[str, str]", wanted: str) -> bool:
    """Whether the environment's stamp says that these very requirements are in it."""
    try:
        present = json.loads((folder / ".installed").read_text())
    except (OSError, ValueError):
        return False
    return (folder / "bin" / "python").exists() and bool(present.get(wanted) == stamps[wanted])


def stamp(folder: Path, stamps: "dict[str, str]", began: float) -> None:
    """Remember what is installed, once everything is."""
    (folder / ".installed").write_text(json.dumps(stamps))
    say(f"  done in {time.monotonic() - began:.0f} s")


def run(name: str, command: "list[str]") -> None:
    """Run a command into the log; raises InstallError with the cause if it fails."""
    log = CHECKOUT / ".stack" / "logs" / f"install-{name}.log"
    for folder in (log.parent.parent, log.parent):
        folder.mkdir(mode=0o700, exist_ok=True)  # what an installer says may name an index with its password
    environment = dict(os.environ, UV_PYTHON_DOWNLOADS="never", UV_NO_PROGRESS="1", VIRTUAL_ENV="")
    with open(log, "w", opener=for_the_owner) as output:
        output.write("$ {}\n".format(" ".join(command)))
        output.flush()
        try:
            result = subprocess.run(
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=str(CHECKOUT),
                env=environment,
                timeout=INSTALL_SECONDS,
            )
        except FileNotFoundError:
            raise InstallError(
                f"{command[0]} is gone\n  remedy:   make clean removes what is left of the installation; then again"
            ) from None
        except subprocess.TimeoutExpired:
            raise InstallError(
                f"{command[0]} did not end within {INSTALL_SECONDS // 60} minutes\n"
                f"  log file: {log}\n  remedy:   look whether the network or the disk stands still, and call make again"
            ) from None
    if result.returncode:
        raise InstallError(explain(log.read_text(errors="replace"), log))


def for_the_owner(path: str, flags: int) -> int:
    """As an opener of `open`: a new file is its owner's alone."""
    return os.open(path, flags, 0o600)


def explain(text: str, log: Path) -> str:
    """One message of cause, log file and remedy, from what the installer said."""
    said = [line.strip() for line in text.splitlines()[1:] if line.strip()]
    if re.search(r"hash(es)?\b.*(mismatch|not match)|mismatch.*hash", text, re.IGNORECASE):
        cause, remedy = "a package is not the one that was pinned", "do not install it; compare with requirements/"
    elif re.search(r"No space left", text):
        cause, remedy = "the disk is full", f"free about 3 GB (this one has {free_gigabytes():.1f} GB left)"
    elif re.search(r"ensurepip|No module named venv", text):
        cause = f"{sys.executable} cannot make an environment: a part of it is a package of its own here"
        remedy = "install it (Debian and Ubuntu: apt install python3-venv), or name another Python by PYTHON="
    elif UNREACHABLE.search(text):
        cause = "the package registry cannot be reached"
        remedy = "check the network, the proxy (HTTPS_PROXY) and the index (PIP_INDEX_URL and UV_DEFAULT_INDEX)"
    else:
        cause, remedy = "a requirement cannot be installed", "read the log, mend what it says, and call make again"
    last = "\n".join("    " + line for line in said[-4:])
    return f"{cause}\n{last}\n  log file: {log}\n  remedy:   {remedy}"


def free_gigabytes() -> float:
    """Free space beside the environments, in GB."""
    return shutil.disk_usage(str(CHECKOUT)).free / 1e9


def say(text: str) -> None:
    """A line of progress, at once."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
