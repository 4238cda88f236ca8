"""A branch is added to and never forced; what goes wrong is said in words, without credentials."""

from __future__ import annotations

import socket
import stat
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from flows.adapters import git_branch
from flows.adapters.git_branch import Branch, BranchMoved, Commit, GitError, PushRefused, RepositoryAway, opened

MONDAY = datetime(2026, 1, 5, 7, 5, tzinfo=UTC)
FIRST = Commit("Promote churn v1\n\nDecision: run-1\n", "anna, promotion brave-owl", MONDAY)
SECOND = Commit("Promote churn v2\n\nDecision: run-2\n", "Ben", MONDAY)


@pytest.fixture(autouse=True)
def nobodys_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """An empty bare repository."""
    folder = tmp_path / "models.git"
    subprocess.run(["git", "init", "--quiet", "--bare", str(folder)], check=True)
    return folder


@pytest.fixture
def branch(bare: Path) -> Iterator[Branch]:
    with opened(str(bare), "main") as branch:
        yield branch


def log(bare: Path, form: str) -> list[str]:
    """The branch's commits in that form, the newest first."""
    command = ["git", "--git-dir", str(bare), "log", f"--format={form}", "main"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def hook(bare: Path, name: str, body: str) -> None:
    script = bare / "hooks" / name
    script.parent.mkdir(exist_ok=True)
    script.write_text(f"#!/bin/sh\n{body}\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)


def test_the_first_commit_makes_the_branch_and_says_who_and_when(bare: Path, branch: Branch) -> None:
    assert branch.fetch() is None
    branch.push(branch.add(None, {"models/churn/churn.yaml": "version: '1'\n"}, FIRST))

    tip = branch.fetch()

    assert tip is not None
    assert branch.read(tip, "models/churn/churn.yaml") == "version: '1'\n"
    assert branch.read(tip, "models/other.yaml") is None
    assert branch.trailers(tip, "Decision") == {"run-1": tip}
    assert log(bare, "%an|%ae|%at|%cn|%s") == [
        f"{FIRST.author}||{int(MONDAY.timestamp())}|Model factory|Promote churn v1"
    ]


def test_a_commit_leaves_the_other_files_alone(branch: Branch) -> None:
    first = branch.add(None, {"README.md": "ours\n", "models/a.yaml": "1\n"}, FIRST)
    second = branch.add(first, {"models/b.yaml": "2\n"}, SECOND)
    branch.push(second)

    assert [branch.read(second, path) for path in ("README.md", "models/a.yaml", "models/b.yaml")] == [
        "ours\n",
        "1\n",
        "2\n",
    ]


def test_whoever_comes_second_is_told_and_overwrites_nothing(bare: Path, branch: Branch) -> None:
    ours = branch.add(None, {"a": "ours\n"}, FIRST)
    with opened(str(bare), "main") as quicker:
        theirs = quicker.add(None, {"a": "theirs\n"}, SECOND)
        quicker.push(theirs)

    with pytest.raises(BranchMoved, match="others push to branch 'main'"):
        branch.push(ours)

    assert branch.fetch() == theirs
    branch.push(branch.add(theirs, {"b": "ours\n"}, FIRST))
    assert log(bare, "%s") == ["Promote churn v1", "Promote churn v2"]


def test_of_two_who_push_the_same_commit_the_second_is_told(bare: Path, branch: Branch) -> None:
    ours = branch.add(None, {"a": "ours\n"}, FIRST)
    branch.push(ours)

    with pytest.raises(BranchMoved, match="pushed the same commit"):
        branch.push(ours)

    assert log(bare, "%s") == ["Promote churn v1"]


def test_a_merge_has_both_and_the_files_of_the_one_that_is_kept(bare: Path, branch: Branch) -> None:
    kept = branch.add(None, {"a": "later\n"}, SECOND)
    taken = branch.add(kept, {"a": "earlier\n"}, FIRST)
    merged = branch.merge(kept, taken, Commit("Merge it\n", "Ben", MONDAY))
    branch.push(merged)

    assert branch.read(branch.fetch(), "a") == "later\n"
    assert set(branch.trailers(merged, "Decision").values()) == {kept, taken}
    assert log(bare, "%P")[0] == f"{kept} {taken}"


def test_a_hook_that_refuses_is_told_in_its_own_words(bare: Path, branch: Branch) -> None:
    hook(bare, "pre-receive", "echo 'models are frozen until Friday' >&2; exit 1")

    with pytest.raises(PushRefused, match=r"models are frozen until Friday.*pre-receive hook declined"):
        branch.push(branch.add(None, {"a": "1\n"}, FIRST))

    assert branch.fetch() is None


def test_a_repository_that_is_not_there_is_named(tmp_path: Path) -> None:
    with opened(str(tmp_path / "gone.git"), "main") as branch, pytest.raises(RepositoryAway, match=r"gone\.git failed"):
        branch.fetch()


def test_no_message_shows_credentials(bare: Path) -> None:
    with socket.socket() as taken:  # bound and not listening: nobody answers there
        taken.bind(("127.0.0.1", 0))
        address = f"http://anna:s%40cret@127.0.0.1:{taken.getsockname()[1]}/models.git"
        with opened(address, "main") as branch, pytest.raises(RepositoryAway) as away:
            branch.fetch()
    assert "http://…@127.0.0.1" in str(away.value)
    assert "s%40cret" not in str(away.value)
    assert "anna" not in str(away.value)


def test_a_server_that_shows_the_password_is_not_quoted_with_it(bare: Path, tmp_path: Path) -> None:
    hook(bare, "pre-receive", "echo 'the password s3cret of file://anna:s3cret@host is wrong' >&2; exit 1")
    with opened(str(bare), "main") as branch:
        known = Branch("https://anna:s3cret@git.test/models.git", "main", branch.folder)
        with pytest.raises(PushRefused, match="the password … of file://…@host is wrong"):
            known.push(known.add(None, {"a": "1\n"}, FIRST))


def test_a_server_that_is_silent_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git_branch, "CALL_SECONDS", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/models.git"
        with opened(address, "main") as branch, pytest.raises(RepositoryAway, match="no answer within 1 s"):
            branch.fetch()


def test_a_machine_without_git_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GitError, match="no program `git` here: install it"), opened("/models.git", "main"):
        pass


def test_a_name_that_would_be_another_commits_trailer_is_one_line(branch: Branch) -> None:
    tip = branch.add(None, {"a": "1\n"}, Commit("Promote it\n", "Eve\nDecision: run-9 <eve@host>", MONDAY))
    branch.push(tip)

    assert branch.trailers(tip, "Decision") == {}


def test_whoever_called_git_around_us_has_no_say(
    bare: Path, branch: Branch, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))

    branch.push(branch.add(None, {"a": "1\n"}, FIRST))

    assert not (tmp_path / "index").exists()
    monkeypatch.undo()
    assert log(bare, "%s") == ["Promote churn v1"]
