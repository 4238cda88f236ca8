"""Whose word a command is, for the records: the account that this process runs under."""

from __future__ import annotations

import getpass
import os


def account() -> str:
    """The account's name; its number where the system has no name for it, as in a container of a user of its own."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # the latter from Python 3.13 on
        return f"uid {os.getuid()}"
