"""`make clean` removes what a stack made, known by its own file, and nothing else."""

import json
import os
import stat
import subprocess
import sys
from dataclasses import asdict

import pytest

from stack import clean
from stack.clean import MARK, CleanError, is_made, read_home, remove_from_checkout, remove_home, require_stack, runs
from stack.settings import CHECKOUT, Home, StackError, read_stack_settings


@pytest.fixture
def home(tmp_path):
    made = Home(tmp_path / "my stack")
    made.make()
    (made.path / "postgresql").mkdir()
    (made.path / "postgresql" / "data").touch()
    return made.path


def test_a_stack_is_removed_with_its_folder(home):
    require_stack(home)

    assert remove_home(home) == []
    assert not home.exists()


def test_what_no_stack_made_is_kept_and_named(home):
    (home / "thesis.tex").write_text("years of work")

    [said] = remove_home(home)

    assert "thesis.tex" in said
    assert [file.name for file in home.iterdir()] == ["thesis.tex"]


def test_a_link_is_removed_and_what_it_leads_to_is_kept(home, tmp_path):
    elsewhere = tmp_path / "big disk"
    elsewhere.mkdir()
    (elsewhere / "kept").touch()
    (home / "snapshots").symlink_to(elsewhere)

    remove_home(home)

    assert (elsewhere / "kept").exists()


@pytest.mark.parametrize("name", ["stack", ".", "docs"])
def test_a_folder_that_no_stack_made_is_refused(name):
    """`make clean STACK_HOME="my stack"` without its quotes is this one."""
    said = subprocess.run(
        [sys.executable, str(CHECKOUT / "stack" / "clean.py")],
        cwd=CHECKOUT,
        env={**os.environ, "STACK_HOME": name},
        capture_output=True,
        text=True,
    )

    assert said.returncode == 1
    assert "was made by no stack" in said.stderr
    assert "nothing was removed" in said.stderr
    assert (CHECKOUT / name).is_dir()
    assert (CHECKOUT / ".venv-ml").is_dir()


def test_a_stack_that_runs_is_not_removed(home):
    holder = (
        "import fcntl, sys; file = open(sys.argv[1], 'a'); fcntl.lockf(file, fcntl.LOCK_EX);"
        "print('held', flush=True); sys.stdin.read()"
    )
    lock = str(home / "lock")
    with subprocess.Popen([sys.executable, "-c", holder, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as held:
        held.stdout.readline()
        assert runs(home)
        held.stdin.close()
        held.wait()
    assert not runs(home)


def test_in_the_checkout_environments_caches_and_wheels_are_removed_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(clean, "CHECKOUT", tmp_path)
    for folder in (".venv-ml", ".venv-airflow", ".ruff_cache", "dist", "stack"):
        (tmp_path / folder).mkdir()
    (tmp_path / ".venv-ml" / "pyvenv.cfg").touch()
    (tmp_path / ".venv-airflow" / "notes").touch()
    (tmp_path / "dist" / "airflow_provider_prefect-1-py3-none-any.whl").touch()
    (tmp_path / "dist" / "mine.whl").touch()

    [said] = remove_from_checkout()

    assert ".venv-airflow: kept" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == [".venv-airflow", "dist", "stack"]
    assert [path.name for path in (tmp_path / "dist").iterdir()] == ["mine.whl"]


def test_a_stack_does_not_move_into_a_folder_of_somebody_else(tmp_path):
    (tmp_path / "thesis.tex").touch()

    with pytest.raises(StackError, match="holds files that no stack made"):
        Home(tmp_path).make()
    assert not (tmp_path / MARK).exists()


@pytest.mark.parametrize("written", ['{"name": "Ada"}', "[1]", "-----BEGIN KEY-----"])
def test_a_folder_with_another_ones_identity_is_no_stacks(tmp_path, written):
    (tmp_path / "identity.json").write_text(written)
    (tmp_path / "bin").mkdir()

    with pytest.raises(CleanError, match="was made by no stack"):
        require_stack(tmp_path)
    with pytest.raises(StackError, match="holds files that no stack made"):
        Home(tmp_path).make()
    assert not (tmp_path / MARK).exists()


def test_an_earlier_stack_without_a_mark_is_known_by_its_secrets(tmp_path, identity):
    (tmp_path / "identity.json").write_text(json.dumps(asdict(identity)))

    require_stack(tmp_path)
    Home(tmp_path).make()
    assert (tmp_path / MARK).exists()


@pytest.fixture
def linked(tmp_path, monkeypatch):
    """The checkout's own `.stack`, which somebody has made a link to a larger disk."""
    disk = tmp_path / "big disk"
    disk.mkdir()
    link = tmp_path / "checkout" / ".stack"
    link.parent.mkdir()
    link.symlink_to(disk)
    monkeypatch.setattr(clean, "DEFAULT_HOME", link)
    return link


def test_a_link_in_the_place_of_the_checkouts_own_folder_leads_to_no_stack(linked):
    for folder in ("bin", "logs", "tmp"):
        (linked / folder).mkdir()
    linked.resolve().chmod(0o755)

    with pytest.raises(CleanError, match="was made by no stack"):
        require_stack(linked)
    with pytest.raises(StackError, match="holds files that no stack made"):
        Home(linked).make()
    assert stat.S_IMODE(linked.stat().st_mode) == 0o755


def test_such_a_link_to_an_empty_folder_becomes_a_stacks_installed_into_or_not(linked):
    (linked / "logs").mkdir()
    (linked / "logs" / "install-ml.log").touch()

    Home(linked).make()

    require_stack(linked)


def test_a_home_of_a_user_who_is_not_there_is_said_so():
    with pytest.raises(CleanError, match="STACK_HOME=~nobody-of-that-name/stack cannot be found"):
        read_home({"STACK_HOME": "~nobody-of-that-name/stack"})
    with pytest.raises(StackError, match="cannot be found"):
        read_stack_settings({"STACK_HOME": "~nobody-of-that-name/stack"})


@pytest.mark.parametrize(("name", "made"), [("env", True), ("env.4711", True), ("env.txt", False), ("my env", False)])
def test_a_file_is_known_by_its_name(name, made):
    assert is_made(name) is made
