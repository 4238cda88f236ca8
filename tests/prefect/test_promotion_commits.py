"""Decisions as commits: one each in their order, whatever others push, and whatever was cut short."""

from __future__ import annotations

import hashlib
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import Popen
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from factory.catalogue.database import open_catalogue
from factory.catalogue.schema import decisions as decisions_table
from factory.contracts import PromotionResult
from factory.records.decisions import read_decisions
from flows import committing
from flows.adapters import promotion_commits, registry
from flows.adapters.git_branch import Commit, opened
from flows.promotion import promotion

if TYPE_CHECKING:
    from tests.prefect.conftest import Home

WEAK, STRONG = "1", "2"
FILE = "models/products/products.yaml"
PROMOTED = [f"Promote products v{WEAK}", f"Promote products v{STRONG}"]
LATER = datetime.now(UTC) + timedelta(days=365)


class Repository:
    """A bare repository on disk, read as anybody would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        subprocess.run(["git", "init", "--quiet", "--bare", str(folder)], check=True)

    def git(self, *words: str) -> str:
        command = ["git", "--git-dir", str(self.folder), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def log(self, form: str = "%s", *words: str) -> list[str]:
        """The branch's commits in that form, the oldest first; none where there is no branch."""
        if not self.git("for-each-ref"):
            return []
        return self.git("log", "--reverse", "--topo-order", f"--format={form}", *words, "main").splitlines()

    def manifest(self) -> dict[str, Any]:
        document: dict[str, Any] = yaml.safe_load(self.git("cat-file", "blob", f"main:{FILE}"))
        return document

    def refuse(self, why: str) -> None:
        hook = self.folder / "hooks" / "pre-receive"
        hook.write_text(f"#!/bin/sh\necho '{why}' >&2\nexit 1\n")
        hook.chmod(hook.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, veteran: Home) -> Repository:
    """The repository that promotions of this test's home are committed to."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("PROMOTION_REPOSITORY", str(tmp_path / "models.git"))
    monkeypatch.setattr(promotion_commits, "AWAY_PAUSES_SECONDS", (0.01,))
    return Repository(tmp_path / "models.git")


def promote(number: str, **more: Any) -> PromotionResult:
    return PromotionResult.model_validate(promotion(model_version=number, threshold=0.1, **more))


def test_a_promotion_and_a_rollback_are_a_commit_each_with_the_manifest(veteran: Home, repository: Repository) -> None:
    promote(WEAK, requested_by="Anna")
    second = promote(STRONG, requested_by="Ben")

    assert repository.log() == PROMOTED
    assert repository.log("%an") == ["Anna", "Ben"]
    assert second.commit == repository.log("%H")[-1]
    assert second.facts()["Commit"] == second.commit[:10]
    found = repository.manifest()
    model = registry.get_version(veteran.client, "products", STRONG)
    with registry.downloaded(veteran.client, model) as folder:
        assert found["sha256"] == hashlib.sha256((folder / registry.MODEL_FILE).read_bytes()).hexdigest()
    assert (found["use_case"], found["model"], found["version"]) == ("products", "products", STRONG)
    assert found["metrics"] == pytest.approx(second.challenger_metrics, abs=1e-6)
    assert found["data"]["sha256"] == model.dataset.sha256
    assert (found["decision"]["outcome"], found["decision"]["previous_version"]) == ("promoted", WEAK)

    back = PromotionResult.model_validate(promotion(rollback=True, requested_by="Cleo"))

    assert repository.log() == [*PROMOTED, f"Roll back products to v{WEAK}"]
    assert (back.commit, repository.log("%an")[-1]) == (repository.log("%H")[-1], "Cleo")
    assert repository.manifest()["version"] == WEAK
    ids = repository.log("%(trailers:key=Decision,valueonly)")
    with open_catalogue(veteran.settings.database_url).connect() as connection:
        recorded = [each.decision_id for each in read_decisions(connection, "products")][::-1]
    assert list(filter(None, ids)) == recorded


def test_a_champion_that_is_kept_and_a_rehearsal_write_nothing(veteran: Home, repository: Repository) -> None:
    promote(STRONG, rehearsal=True)
    assert repository.log() == []
    promote(STRONG)

    kept = promote(WEAK)
    standing = promote(STRONG)

    assert (kept.commit, standing.commit) == (None, None)
    assert repository.log() == [PROMOTED[1]]


def test_a_title_given_by_hand_or_taken_away_is_a_commit_too(veteran: Home, repository: Repository) -> None:
    promote(STRONG)
    promotion(champion="none", requested_by="Anna")
    promotion(champion=STRONG)

    assert repository.log() == [PROMOTED[1], "Leave products without a champion", f"Promote products v{STRONG} by hand"]
    assert repository.manifest()["version"] == STRONG
    assert repository.manifest()["metrics"]


def test_a_repository_that_is_away_stops_no_promotion_and_what_is_missing_is_made_up_for(
    veteran: Home, repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    aside = repository.folder.with_name("aside.git")
    repository.folder.rename(aside)

    first, second = promote(WEAK), promote(STRONG)

    assert veteran.alias("champion") == STRONG
    assert (first.commit, second.commit) == (None, None)
    assert any("Commits are missing: git ls-remote" in said for said in second.reservations())
    assert "python -m flows.committing" in str(second.commit_problem)
    assert committing.main([]) == 1
    assert "does not appear to be a git repository" in capsys.readouterr().err

    aside.rename(repository.folder)
    assert committing.main(["--use-case", "products"]) == 0
    assert capsys.readouterr().out.splitlines() == [f"products: {subject}" for subject in PROMOTED]
    assert repository.log() == PROMOTED

    assert committing.main(["--use-case", "products"]) == 0
    assert capsys.readouterr().out == "products: nothing is missing\n"
    assert repository.log() == PROMOTED


def test_the_next_promotion_writes_what_is_missing_in_its_order(veteran: Home, repository: Repository) -> None:
    aside = repository.folder.with_name("aside.git")
    repository.folder.rename(aside)
    promote(WEAK)
    aside.rename(repository.folder)

    promote(STRONG)

    assert repository.log() == PROMOTED


def test_a_decision_whose_process_was_killed_after_the_alias_is_committed(
    veteran: Home, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.delenv("PROMOTION_REPOSITORY")
        promote(STRONG)
    with open_catalogue(veteran.settings.database_url).begin() as connection:  # it died before the record was kept
        connection.execute(decisions_table.delete())

    assert committing.main(["--use-case", "products"]) == 0

    assert repository.log() == [PROMOTED[1]]


def test_several_writers_at_once_write_each_decision_once(
    veteran: Home,
    repository: Repository,
    start: Callable[..., Popen[bytes]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        patch.delenv("PROMOTION_REPOSITORY")
        promote(WEAK)
        promote(STRONG)
    logs = [tmp_path / f"{number}.log" for number in range(3)]
    where = {"PROMOTION_REPOSITORY": str(repository.folder)}

    writers = [start([sys.executable, "-m", "flows.committing"], log, **where) for log in logs]

    assert [writer.wait(120) for writer in writers] == [0, 0, 0], [log.read_text()[-2000:] for log in logs]
    assert repository.log() == PROMOTED
    told = [line for log in logs for line in log.read_text().splitlines() if line.startswith("products: Promote")]
    assert sorted(told) == [f"products: {subject}" for subject in PROMOTED]


def test_what_others_pushed_meanwhile_stays_beside_the_decision(veteran: Home, repository: Repository) -> None:
    promote(WEAK)
    somebody = Commit("Note something\n", "Somebody", LATER)
    pushed: list[str] = []
    whole = promotion_commits._add

    def overtaken(branch: Any, tip: str, *rest: Any) -> tuple[str, str]:
        if not pushed:  # between our reading of the branch and our push
            with opened(str(repository.folder), "main") as theirs:
                pushed.append(theirs.add(theirs.fetch(), {"models/churn/churn.yaml": "theirs\n"}, somebody))
                theirs.push(pushed[0])
        return whole(branch, tip, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(promotion_commits, "_add", overtaken)
        promote(STRONG)

    assert repository.log() == [PROMOTED[0], "Note something", PROMOTED[1]]
    assert repository.git("cat-file", "blob", "main:models/churn/churn.yaml") == "theirs\n"
    assert repository.manifest()["version"] == STRONG


def test_of_two_decisions_on_one_file_both_are_in_the_history_and_the_later_one_stands(
    veteran: Home, repository: Repository
) -> None:
    promote(WEAK)
    theirs = yaml.safe_dump({"version": "77", "decision": {"decided_at": LATER.isoformat()}})
    with opened(str(repository.folder), "main") as branch:
        branch.push(branch.add(branch.fetch(), {FILE: theirs}, Commit("Promote products v77\n", "Dora", LATER)))

    ours = promote(STRONG)

    assert repository.manifest()["version"] == "77"
    assert set(repository.log("%s", "--no-merges")) == {*PROMOTED, "Promote products v77"}
    assert yaml.safe_load(repository.git("cat-file", "blob", f"{ours.commit}:{FILE}"))["version"] == STRONG
    assert committing.main(["--use-case", "products"]) == 0
    assert len(repository.log()) == 4  # the merge included


def test_a_file_that_people_made_something_else_of_is_written_anew(veteran: Home, repository: Repository) -> None:
    with opened(str(repository.folder), "main") as branch:
        branch.push(branch.add(None, {FILE: "just: a note\n"}, Commit("Note\n", "Dora", LATER)))

    promote(STRONG)

    assert repository.manifest()["version"] == STRONG
    assert repository.log() == ["Note", PROMOTED[1]]


def test_a_repository_that_refuses_is_told_in_its_own_words(veteran: Home, repository: Repository) -> None:
    repository.refuse("models are frozen until Friday")

    result = promote(STRONG)

    assert veteran.alias("champion") == STRONG
    assert "models are frozen until Friday" in str(result.commit_problem)
    assert repository.log() == []


def test_the_command_without_a_repository_says_which_setting_is_missing(
    veteran: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    assert committing.main([]) == 1
    assert capsys.readouterr().err == "error: PROMOTION_REPOSITORY names no repository\n"
