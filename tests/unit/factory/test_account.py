"""Whose word a command is, also where the system has no name for that."""

from __future__ import annotations

import getpass
import os
import pwd

import pytest

from factory.account import account

NAMES = ("LOGNAME", "USER", "LNAME", "USERNAME")


def test_an_account_without_a_name_is_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    assert account() == getpass.getuser()

    def nobody(uid: int) -> object:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    assert account() == f"uid {os.getuid()}"
