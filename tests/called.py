"""A command line, called in this process as a process of its own would be: arguments, environment, words, exit code.

To begin Python and import a library takes a second or more of the processor, each time. That the command is there and
begins is shown by one test of its module that starts the process. Standard library alone.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from subprocess import CompletedProcess
from unittest.mock import patch


def called(
    main: Callable[[], object], *arguments: str, environment: Mapping[str, str], cwd: Path | None = None
) -> CompletedProcess[str]:
    """What the command said and its exit code; `environment` is all that it finds there."""
    out, err = io.StringIO(), io.StringIO()
    with (
        patch.dict(os.environ, environment, clear=True),
        patch.object(sys, "argv", [main.__module__, *arguments]),
        chdir(cwd or Path.cwd()),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        code = _exit_code(main)
    return CompletedProcess(list(arguments), code, out.getvalue(), err.getvalue())


def _exit_code(main: Callable[[], object]) -> int:
    """As the interpreter ends: a text goes to stderr, and counts as 1."""
    try:
        main()
    except SystemExit as ended:
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
            return 1
        return ended.code or 0
    return 0
