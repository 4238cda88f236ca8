"""What the installation says when it cannot go on, and that it does nothing twice."""

import os
import stat
import sys
from pathlib import Path

import pytest

from stack import install
from stack.install import InstallError, check_python, explain, is_installed, stamp, stamps_of

LOG = Path("install.log")


@pytest.mark.parametrize("version", [(3, 6), (3, 10), (3, 14)])
def test_a_python_that_does_not_do_is_named_with_the_remedy(version):
    with pytest.raises(InstallError, match=r"needs 3\.11, 3\.12 or 3\.13[\s\S]*PYTHON="):
        check_python(version, "/usr/bin/python")


@pytest.mark.parametrize("version", [(3, 11), (3, 12), (3, 13)])
def test_a_python_that_does_passes(version):
    assert check_python(version, "/usr/bin/python") is None


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ("$ uv pip sync\nerror: Failed to fetch\n  Caused by: tcp connect error", "registry cannot be reached"),
        ("$ pip\nERROR: No matching distribution found for uv==0.13.9", "registry cannot be reached"),
        ("$ uv\nerror: Hash mismatch for `rich==15.0.0`", "not the one that was pinned"),
        ("$ uv\nerror: No space left on device (os error 28)", "disk is full"),
        ("$ uv\nerror: something new", "cannot be installed"),
    ],
)
def test_every_failure_names_cause_log_and_remedy(said, cause):
    message = explain(said, LOG)

    assert cause in message.splitlines()[0]
    assert "log file: install.log" in message
    assert "remedy:" in message


@pytest.mark.parametrize("mask", [0o022, 0o000])
def test_what_an_installer_says_is_for_its_owner_alone(tmp_path, monkeypatch, mask):
    """It may name an index with its password."""
    monkeypatch.setattr(install, "CHECKOUT", tmp_path)
    before = os.umask(mask)
    try:
        install.run("tools", [sys.executable, "-c", "print('https://me:secret@index')"])
    finally:
        os.umask(before)

    made = [tmp_path / ".stack", *(tmp_path / ".stack").rglob("*")]
    assert [stat.S_IMODE(path.stat().st_mode) for path in made] == [0o700, 0o700, 0o600]


def test_what_bears_the_stamp_of_these_requirements_is_installed(tmp_path):
    stamps = stamps_of("ml", "ml-test")
    assert not is_installed(tmp_path, stamps, "ml")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").touch()

    stamp(tmp_path, stamps, began=0.0)

    assert is_installed(tmp_path, stamps, "ml")
    assert is_installed(tmp_path, stamps, "ml-test")


def test_an_environment_whose_python_is_gone_is_not_installed(tmp_path):
    """It is a link: to a Python that an upgrade of the system has removed."""
    stamps = stamps_of("ml")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to("/usr/bin/python-of-yesterday")
    stamp(tmp_path, stamps, began=0.0)

    assert not is_installed(tmp_path, stamps, "ml")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["/no/such/uv"], r"/no/such/uv is gone[\s\S]*make clean"),
        (["sleep", "60"], r"sleep did not end within[\s\S]*log file"),
        (["sh", "-c", "echo ensurepip is not available; exit 1"], r"cannot make an environment[\s\S]*python3-venv"),
    ],
)
def test_a_command_that_cannot_do_its_work_is_told(command, said, tmp_path, monkeypatch):
    monkeypatch.setattr(install, "CHECKOUT", tmp_path)
    monkeypatch.setattr(install, "INSTALL_SECONDS", 0.5)

    with pytest.raises(InstallError, match=said):
        install.run("ml", command)


def test_changed_requirements_are_installed_again(tmp_path):
    stamp(tmp_path, {"ml": "of another day"}, began=0.0)

    assert not is_installed(tmp_path, stamps_of("ml"), "ml")
