"""The commands as a person runs them: words on the terminal, and an exit code that tells."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from factory.cli import main
from factory.settings import Settings
from tests.called import called

Factory = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """Words and exit codes do not depend on the database: one is enough here."""
    return f"sqlite:///{tmp_path / 'catalogue.sqlite'}"


@pytest.fixture
def factory(settings: Settings) -> Factory:
    def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        settled = {"DATABASE_URL": settings.database_url, "SNAPSHOT_URI": settings.snapshot_uri, "COLUMNS": "200"}
        return called(main, *arguments, environment=os.environ | settled | environ)

    return run


def test_the_command_is_there_and_its_words_and_exit_code_reach_whoever_started_it(settings: Settings) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "DATABASE_URL": settings.database_url}
        command = [sys.executable, "-m", "factory", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    assert "5,612 products loaded" in run("load", "sample").stdout
    refused = run("cut", "--week", "0")
    assert refused.returncode == 1
    assert refused.stderr.startswith("error: there is no week 0")
    assert "Traceback" not in refused.stderr


def test_from_nothing_to_two_accepted_weeks(factory: Factory) -> None:
    assert "the sample: 5,612 products loaded, 0 were there already" in factory("load", "sample").stdout
    assert "the sample: 0 products loaded, 5,612 were there already" in factory("load", "sample").stdout
    first = factory("cut", "--week", "1")
    assert "products/week-01/r1 accepted: 2,238 rows (1,831 to train on, 2,238 new), 21 classes" in first.stdout
    assert factory("cut", "--week", "1").stdout == first.stdout
    assert factory("cut", "--week", "2", "--as-of", "2026-02-01").returncode == 0
    shown = factory("show").stdout
    assert "5,612 products in 21 classes, from the sample" in shown
    assert [line.split()[0] for line in shown.splitlines() if "week-" in line] == [
        "products/week-01/r1",
        "products/week-02/r1",
    ]


def test_two_files_of_one_base_name_are_two_sources(factory: Factory, tmp_path: Path) -> None:
    options = ["--id", "id", "--text", "text", "--label", "label"]
    files = [tmp_path / shop / "products.csv" for shop in ("north", "south")]
    for file in files:
        file.parent.mkdir()
        file.write_text(f"id,text,label\n{file.parent.name}-1,an oak chair,furniture\n")
    north, south = map(str, files)
    assert factory("load", "file", north, *options).returncode == 0
    refused = factory("load", "file", south, *options)
    assert refused.returncode == 1
    assert north in refused.stderr
    assert south in refused.stderr
    assert "1 products loaded" in factory("load", "file", south, *options, "--append").stdout
    shown = factory("show").stdout
    assert north in shown
    assert south in shown


def test_a_file_without_header_and_with_groups_is_loaded(factory: Factory, tmp_path: Path) -> None:
    lines = [f"{n},offer no {n},{n % 7},{n // 4},cluster,{n % 3},kind {n % 3}" for n in range(400)]
    (tmp_path / "offers.csv").write_text("\n".join(lines))
    options = ["--id", "c0", "--text", "c1", "--label", "c6", "--group", "c3"]
    loaded = factory("load", "file", str(tmp_path / "offers.csv"), *options, "--no-header")
    assert "offers.csv: 400 products loaded" in loaded.stdout
    assert "3 classes" in factory("cut", "--week", "1").stdout


@pytest.mark.parametrize(
    ("arguments", "environ", "said"),
    [
        (["cut", "--week", "1"], {}, "error: the catalogue holds no products: run `python -m factory load sample`"),
        (["cut", "--week", "0"], {}, "error: there is no week 0"),
        (["load", "rakuten", "nowhere"], {}, "error: nowhere must hold exactly one X_train*.csv"),
        (["accept", "--week", "1"], {}, "error: week 1 was not cut yet"),
        (["show"], {"DATABASE_URL": "nonsense"}, "error: DATABASE_URL is not an address"),
        (["show"], {"WEEK_SEED": "many"}, "error: WEEK_SEED='many'"),
        (["show"], {"WEEK_EPOCH": "1767571200"}, "error: WEEK_EPOCH='1767571200'"),
        (["show"], {"RETRAIN_COOLDOWN_DAYS": "inf"}, "error: RETRAIN_COOLDOWN_DAYS='inf'"),
        (
            ["cut", "--week", "1"],
            {"SNAPSHOT_URI": "s3://"},
            "error: SNAPSHOT_URI='s3://': Value error, no bucket or folder",
        ),
        (["cut", "--week", "999999"], {}, "error: there is no week 999999: the calendar ends before it"),
    ],
)
def test_a_mistake_is_one_message_and_exit_code_1(
    factory: Factory, arguments: list[str], environ: dict[str, str], said: str
) -> None:
    outcome = factory(*arguments, **environ)
    assert outcome.returncode == 1
    assert outcome.stderr.startswith(said)
    assert "Traceback" not in outcome.stderr


@pytest.mark.parametrize("command", ["show", "cut --week 1", "accept --week 1", "leaks", "decisions", "freeze"])
def test_a_use_case_that_there_is_not_is_refused_with_those_that_there_are(factory: Factory, command: str) -> None:
    outcome = factory(*command.split(), "--use-case", "product")
    assert outcome.returncode == 2
    assert "there are: products" in outcome.stderr
    assert "Traceback" not in outcome.stderr


@pytest.mark.parametrize("command", ["accept --week", "decisions --last", "corrections --last"])
def test_a_number_that_no_database_knows_is_refused(factory: Factory, command: str) -> None:
    outcome = factory(*command.split(), "9" * 20)
    assert outcome.returncode == 2
    assert "less than or equal to" in outcome.stderr


def test_another_source_is_refused_with_the_remedy(factory: Factory, tmp_path: Path) -> None:
    factory("load", "sample")
    (tmp_path / "mine.csv").write_text("id,title,kind\n1,a,k\n")
    command = ["load", "file", str(tmp_path / "mine.csv"), "--id", "id", "--text", "title", "--label", "kind"]
    refused = factory(*command)
    assert refused.returncode == 1
    assert f"the products of the sample, not of {tmp_path / 'mine.csv'}" in refused.stderr
    assert factory(*command, "--append").returncode == 0
    assert "mine.csv, the sample" in factory("show").stdout


def test_what_is_appended_joins_whole_with_the_next_week_or_when_its_column_says(
    factory: Factory, tmp_path: Path
) -> None:
    options = ["--id", "id", "--text", "text", "--label", "kind"]

    def file(first: int, since: str) -> str:
        rows = [f"{n},offer no {n},kind {n % 3},{since}" for n in range(first, first + 300)]
        (tmp_path / f"{first}.csv").write_text("id,text,kind,since\n" + "\n".join(rows))
        return str(tmp_path / f"{first}.csv")

    first, second, third = file(1000, "2026-01-01"), file(2000, "2026-01-01"), file(3000, "2026-01-20")
    late = file(4000, "2025-06-01")
    assert "belong to week" not in factory("load", "file", first, *options).stdout
    stock = int(factory("cut", "--week", "1").stdout.split("accepted: ")[1].split()[0])
    assert stock < 200
    appended = factory("load", "file", second, *options, "--append").stdout
    assert "the new ones belong to week 2, the first after the last one cut" in appended
    dated = factory("load", "file", third, *options, "--created-at", "since", "--append")
    assert "since: 300 moments name no zone and were taken for UTC" in dated.stdout
    assert "the last of them was created on 2026-01-20 and belongs to week 3" in dated.stdout
    dated = factory("load", "file", late, *options, "--created-at", "since", "--append")
    assert "300 of them were created by 2026-01-05, as the first stock was" in dated.stdout
    assert "they belong to week 2, whole" in dated.stdout
    assert "0 products loaded, 300 were there already" in factory("load", "file", third, *options, "--append").stdout
    sizes = [
        int(factory("cut", "--week", str(n)).stdout.split("accepted: ")[1].split()[0].replace(",", ""))
        for n in (2, 3, 4)
    ]
    assert [size - stock for size in sizes] == pytest.approx([600, 600, 900], abs=60)
    assert "the new ones belong to week 5" in factory("load", "sample", "--append").stdout
    (tmp_path / "wrong.csv").write_text("id,text,kind,since\n9,offer,kind 1,soon\n")
    refused = factory("load", "file", str(tmp_path / "wrong.csv"), *options, "--created-at", "since", "--append")
    assert refused.returncode == 1
    assert "wrong.csv, line 2: 'soon' in since is no moment" in refused.stderr


def test_corrections_are_made_by_command_and_listed(factory: Factory, tmp_path: Path) -> None:
    (tmp_path / "offers.csv").write_text("id,text,kind\n" + "".join(f"{n},offer no {n},k{n % 2}\n" for n in range(9)))
    factory("load", "file", str(tmp_path / "offers.csv"), "--id", "id", "--text", "text", "--label", "kind")
    assert factory("relabel", "--from", "k1", "--to", "k0").stdout == "4 products relabelled 'k0'\n"
    assert factory("relabel", "1", "2", "--to", "k1").stdout == "2 products relabelled 'k1'\n"
    assert factory("update", "3", "--text", "another").stdout == "3 changed\n"
    assert factory("delete", "4").stdout == "1 products deleted\n"
    listed = factory("corrections").stdout
    assert [listed.count(word) for word in ("relabel", "update", "delete")] == [6, 1, 1]
    for arguments, said in (
        (["relabel", "--to", "x"], "--from"),
        (["update", "3"], "--text"),
        (["delete", "z"], "'z'"),
    ):
        refused = factory(*arguments)
        assert refused.returncode != 0
        assert said in refused.stderr


def test_a_catalogue_that_moved_on_is_told_and_a_new_test_set_is_frozen_and_shown(factory: Factory) -> None:
    factory("load", "sample")
    factory("cut", "--week", "1")
    assert re.match(
        r"error: test set v1 is what the catalogue would give today \([\d,]+ rows\)", factory("freeze").stderr
    )
    factory("relabel", "--from", "XI", "--to", "XX")
    told = factory("cut", "--week", "1").stdout
    assert re.search(r"\d+ of the [\d,]+ rows of test set v1 \(1\d\.\d\d%\) are not as the catalogue has them", told)
    assert "would decide; nothing was frozen" in factory("freeze", "--dry-run").stdout
    frozen = factory("freeze")
    assert frozen.returncode == 0
    assert re.match(r"test set v2 of products: [\d,]+ rows in 20 classes; it decides from now on", frozen.stdout)
    shown = [line.split() for line in factory("show").stdout.splitlines()]
    assert [(row[0], row[2]) for row in shown if row and row[0] in ("v1", "v2")] == [("v1", "0"), ("v2", "0")]


def test_a_trainings_finding_is_accepted_with_a_reason_and_on_record(factory: Factory) -> None:
    assert "no finding of products was accepted yet" in factory("leaks").stdout
    silent = factory("accept", "--leak", "word:crate")
    assert (silent.returncode, "say by --reason why" in silent.stderr) == (1, True)
    wrong = factory("accept", "--leak", "word:crate", "--leak", "crate", "--reason", "so they are called")
    assert (wrong.returncode, "'crate' is no finding's name" in wrong.stderr) == (1, True)
    assert "no finding of products was accepted yet" in factory("leaks").stdout
    done = factory("accept", "--leak", "word:crate", "--leak", "characters: k20", "--reason", "so they are called")
    assert "products: 2 findings accepted (word:crate, characters: k20)" in done.stdout
    shown = factory("leaks").stdout
    assert all(part in shown for part in ("word:crate", "characters: k20", "so they are called"))
    assert factory("accept").returncode == factory("accept", "--week", "1", "--leak", "word:crate").returncode == 2
