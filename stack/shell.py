"""`make shell`: the user's own shell, in which bridge, prefect, mlflow, airflow and python are those of the stack.

Owns how each kind of shell is told to read the stack's file after the user's own, which may put other tools first.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from stack.environment import read_exports, tool_folders
from stack.identity import write_private
from stack.lifecycle import running
from stack.settings import Home, StackError


def open_shell(home: Home, environ: Mapping[str, str] = os.environ) -> NoReturn:
    """Become that shell. Raises StackError when there is no stack, or no such shell."""
    if not home.environment_file.exists():
        raise StackError(f"no stack was started in {home.path} yet: make up")
    if running(home) is None:
        print("the stack does not run: make up starts it", file=sys.stderr)
    shell = environ.get("SHELL") or "/bin/sh"
    options, more = _start_file(home, Path(shell).name, environ)
    try:
        os.execve(shell, [shell, *options], {**environ, **_variables(home, environ), **more})  # noqa: S606
    except OSError as error:
        raise StackError(f"SHELL={shell} cannot be started: {error.strerror}") from error


def _variables(home: Home, environ: Mapping[str, str]) -> dict[str, str]:
    """What the stack's file would set: a shell without a terminal reads no start file."""
    path = [*map(str, tool_folders(home)), environ.get("PATH", os.defpath)]
    return {**read_exports(home.environment_file.read_text()), "PATH": ":".join(path)}


def _start_file(home: Home, shell: str, environ: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """Options and variables that make the shell read the user's start file and then the stack's."""
    folder = home.path / "shell"
    folder.mkdir(exist_ok=True)
    ours = f'. {shlex.quote(str(home.environment_file))}\nPS1="(stack) $PS1"\n'
    if shell == "bash":
        write_private(folder / "bashrc", f"[ -f ~/.bashrc ] && . ~/.bashrc\n{ours}")
        return ["--rcfile", str(folder / "bashrc")], {}
    if shell == "zsh":
        theirs = shlex.quote(environ.get("ZDOTDIR") or str(Path.home()))
        write_private(folder / ".zshrc", f"ZDOTDIR={theirs}\n[ -f $ZDOTDIR/.zshrc ] && . $ZDOTDIR/.zshrc\n{ours}")
        return [], {"ZDOTDIR": str(folder)}
    if shell in {"sh", "dash", "ash", "ksh"}:
        write_private(folder / "shrc", ours)
        return [], {"ENV": str(folder / "shrc")}
    return [], {}
