"""Promotion: one rule, one decision at a time, and a way back."""

from __future__ import annotations

import getpass
import json
import re
import runpy
import sys
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from prefect import flow

from factory.catalogue.corrections import merge_class, relabel
from factory.catalogue.database import open_catalogue
from factory.catalogue.schema import decisions as decisions_table
from factory.contracts import FileRef, PromotionResult
from factory.errors import TestSetOutdated
from factory.records.decisions import Decision, read_decisions
from factory.records.measurements import Measurement, read_measurements
from factory.snapshots.store import read_frame
from factory.test_sets.freezing import freeze
from factory.use_cases.use_case import Gate
from flows.adapters import registry, title
from flows.adapters.initiator import Initiator
from flows.adapters.promotion_case import Case
from flows.adapters.registry import RegistryError
from flows.adapters.title import TitleUnclear
from flows.core.policy import Approval
from flows.promotion import give_back, promotion
from flows.scoring import score

if TYPE_CHECKING:
    from tests.prefect.conftest import Home


WEAK, STRONG = "1", "2"


def decisions(home: Home) -> list[Decision]:
    """The decisions in the catalogue, oldest first."""
    with open_catalogue(home.settings.database_url).connect() as connection:
        return read_decisions(connection, "products")[::-1]


def measured(home: Home) -> list[Measurement]:
    """What versions were measured at, the newest first."""
    with open_catalogue(home.settings.database_url).connect() as connection:
        return read_measurements(connection, "products")


def test_the_better_model_wins_on_the_same_test_set_and_the_decision_is_written_on_it(veteran: Home) -> None:
    first = promotion(model_version=WEAK, threshold=0.1)
    second = promotion(threshold=0.1)

    assert (first["promoted"], first["previous_champion_version"]) == (True, None)
    assert (second["promoted"], second["champion_version"], second["previous_champion_version"]) == (True, STRONG, WEAK)
    assert second["previous_champion_metrics"] == first["challenger_metrics"]
    assert second["challenger_metrics"]["f1_weighted"] > first["challenger_metrics"]["f1_weighted"]
    tags = veteran.tags(STRONG)
    assert tags["decision"] == "promoted"
    assert tags["decision_reason"] == second["reason"]
    assert float(tags["decision_f1_weighted"]) == pytest.approx(second["challenger_metrics"]["f1_weighted"], abs=1e-6)
    assert tags["previous_champion"] == WEAK
    beside_weak, alone = measured(veteran)
    assert [(each.version, each.rival) for each in (beside_weak, alone)] == [(STRONG, WEAK), (WEAK, None)]
    assert {name: each.value for name, each in beside_weak.metrics.items()} == second["challenger_metrics"]
    assert beside_weak.gains["f1_weighted"].low == pytest.approx(second["gain_at_least"], abs=0.05)
    assert sum(each.rows for each in alone.classes) == alone.test_rows == second["test_rows"]
    assert all(each.rival_f1 is not None for each in beside_weak.classes)
    assert sum(each.rows for each in beside_weak.curve) == second["test_rows"]


def test_a_decision_that_is_taken_again_is_the_same(veteran: Home) -> None:
    promotion(model_version=STRONG, threshold=0.1)

    first, again = (promotion(model_version=WEAK, threshold=0.1) for _ in range(2))

    assert {**first, "decided_by": ""} == {**again, "decided_by": ""}
    assert (first["challenger_version"], first["promoted"]) == (WEAK, False)
    assert "does not beat" in first["reason"]
    assert veteran.alias("champion") == STRONG


def test_the_champion_is_not_promoted_again(veteran: Home) -> None:
    promotion(threshold=0.1)

    again = promotion(threshold=0.1)

    assert not again["promoted"]
    assert again["reason"] == f"version {STRONG} already is the champion"
    assert veteran.alias("champion") == STRONG
    assert veteran.tags(STRONG)["decision"] == "promoted"


def test_rollback_gives_the_title_back_and_the_loser_does_not_win_by_itself(veteran: Home) -> None:
    promotion(model_version=WEAK, threshold=0.1)
    promotion(threshold=0.1)

    back = promotion(rollback=True)

    assert back["champion_version"] == veteran.alias("champion") == WEAK
    assert back["reason"] == f"rolled back from version {STRONG} to version {WEAK}"
    assert veteran.tags(STRONG)["decision"] == "rolled back"
    assert veteran.tags(WEAK)["decision"] == "restored"

    assert "was rolled back" in promotion(threshold=0.1)["reason"]
    assert veteran.alias("champion") == WEAK
    assert promotion(model_version=STRONG, threshold=0.1)["promoted"]
    assert veteran.alias("champion") == STRONG


def test_every_decision_is_one_record_with_its_numbers_and_whoever_took_it(veteran: Home) -> None:
    won = promotion(model_version=WEAK, threshold=0.1)
    lost = promotion(model_version=STRONG, threshold=0.99, requested_by="Anna")
    promotion(model_version=STRONG, threshold=0.1)
    back = promotion(rollback=True, requested_by="Ben")

    found = decisions(veteran)
    assert [decision.outcome for decision in found] == ["promoted", "kept", "promoted", "rolled back"]
    assert [decision.result.rule for decision in found] == ["floor", "floor", "gain", "rolled back"]
    assert [found[0].result, found[1].result, found[3].result] == [
        PromotionResult.model_validate(each) for each in (won, lost, back)
    ]
    assert [decision.result.decided_by for decision in found[1::2]] == ["Anna", "Ben"]
    assert f"{getpass.getuser()}, promotion " in found[0].result.decided_by
    assert found[0].dataset == veteran.cut(1)
    assert (found[3].result.challenger_version, found[3].result.champion_version) == (STRONG, WEAK)
    assert veteran.tags(STRONG)["decided_by"] == "Ben"
    assert 0 < found[2].result.gain_at_least < found[2].result.gain
    assert {check.rule for check in found[2].result.checks} >= {"floor", "gain", "classes", "latency"}


def test_a_decision_within_another_flow_is_that_flows(veteran: Home) -> None:
    @flow(name="retraining")
    def retraining() -> dict[str, Any]:
        return promotion(threshold=0.1)

    assert f"{getpass.getuser()}, retraining " in retraining()["decided_by"]


def test_a_rollback_that_is_repeated_goes_back_once_and_completes_its_record(veteran: Home) -> None:
    promotion(model_version=WEAK, threshold=0.1)
    promotion(model_version=STRONG, threshold=0.1)
    veteran.client.set_model_version_tag("products", WEAK, "previous_champion", STRONG)
    case = Case("products", Gate(), Approval(), Initiator("Anna", "one-run"), named=False, rehearsal=False)

    first = give_back.fn(veteran.settings, case)
    with open_catalogue(veteran.settings.database_url).begin() as connection:  # it died before the record was kept
        connection.execute(decisions_table.delete().where(decisions_table.c.decision_id == "one-run"))
    again = give_back.fn(veteran.settings, case)

    assert first == again
    assert veteran.alias("champion") == first.champion_version == WEAK
    assert decisions(veteran)[-1].decision_id == "one-run"


def test_a_person_may_refuse_and_is_asked_where_it_is_required(veteran: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = promotion(threshold=0.1, rejected_by="Ben")
    assert (refused["promoted"], refused["rule"], refused["reason"]) == (False, "approval", "refused by Ben")

    monkeypatch.setenv("PROMOTION_APPROVAL", "true")
    assert promotion(threshold=0.1, rehearsal=True)["promoted"]
    assert promotion(threshold=0.1)["rule"] == "approval"
    assert veteran.alias("champion") is None

    approved = promotion(model_version=int(STRONG), threshold=0.1, approved_by="Anna")
    assert (approved["promoted"], approved["approved_by"]) == (True, "Anna")
    assert veteran.tags(STRONG)["approved_by"] == "Anna"
    assert [each.result.rejected_by for each in decisions(veteran)] == ["Ben", None, None]


def test_a_rehearsal_changes_nothing(veteran: Home) -> None:
    before = veteran.tags(STRONG)

    judged = promotion(threshold=0.1, rehearsal=True)

    assert (judged["promoted"], judged["champion_version"]) == (True, None)
    assert veteran.alias("champion") is None
    assert veteran.tags(STRONG) == before
    assert decisions(veteran) == []


def test_the_card_stands_by_itself_and_tells_what_the_decision_rests_on(veteran: Home) -> None:
    promotion(model_version=WEAK, threshold=0.1)
    result = promotion(threshold=0.1)

    run_id = veteran.client.get_model_version("products", STRONG).run_id
    page = Path(veteran.client.download_artifacts(run_id, "model_card.html")).read_text()
    assert result["card_url"].partition("?")[0].endswith(f"/runs/{run_id}/artifacts/model_card.html")
    assert PromotionResult.model_validate(result).links() == {"Model card": result["card_url"]}
    assert not re.findall(r"<(?:script|link|img)|@import|url\(", page)
    dataset = veteran.cut(1)
    for said in (
        "Promoted to champion",
        f"{result['challenger_metrics']['f1_weighted']:.4f}",
        f"{result['intervals']['f1_weighted'][0]:.4f} – {result['intervals']['f1_weighted'][1]:.4f}",
        "Length of the text",
        dataset.sha256,
        dataset.test.sha256,
        run_id,
    ):
        assert said in page, said


def test_what_serving_takes_is_measured_in_a_process_of_its_own(veteran: Home) -> None:
    for tag in ("serving_size_bytes", "serving_memory_bytes", "serving_p95_ms"):
        veteran.client.delete_model_version_tag("products", STRONG, tag)

    costs = promotion(threshold=0.1)["costs"]

    version = registry.get_version(veteran.client, "products", STRONG)
    with registry.downloaded(veteran.client, version) as folder:
        assert costs["size_bytes"] == sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert 30e6 < costs["memory_bytes"] < 1e9  # no Python with scikit-learn is smaller
    assert 0 < costs["p95_ms"] < 1000
    assert float(veteran.tags(STRONG)["serving_p95_ms"]) == costs["p95_ms"]


def test_nobody_to_judge_is_a_clear_error(home: Home) -> None:
    with pytest.raises(RegistryError, match="no challenger: run training-pipeline first"):
        promotion()


def test_nobody_to_go_back_to_is_a_clear_error(veteran: Home) -> None:
    with pytest.raises(RegistryError, match="no champion to roll back"):
        promotion(rollback=True)
    with pytest.raises(RegistryError, match="no version '99'"):
        promotion(model_version="99")
    promotion(threshold=0.1)
    with pytest.raises(RegistryError, match=f"version {STRONG} of 'products' had no champion before it"):
        promotion(rollback=True)


def promote_by_command() -> None:
    sys.argv = ["flows.promotion", "--threshold", "0.1"]
    runpy.run_module(sys.argv[0], run_name="__main__")


def test_of_two_promotions_at_once_one_wins(veteran: Home, forked: Callable[..., BaseProcess], tmp_path: Path) -> None:
    logs = [tmp_path / "one.log", tmp_path / "two.log"]

    processes = [forked(promote_by_command, log) for log in logs]
    for process in processes:
        process.join(120)

    assert [process.exitcode for process in processes] == [0, 0], [log.read_text()[-2000:] for log in logs]
    texts = [log.read_text() for log in logs]
    results = [json.loads(text[text.index("\n{") :]) for text in texts]
    assert sorted(result["promoted"] for result in results) == [False, True]
    assert {result["champion_version"] for result in results} == {STRONG}
    assert f"version {STRONG} already is the champion" in [result["reason"] for result in results]


def test_an_alias_that_was_taken_away_by_hand_makes_no_worse_model_champion(veteran: Home) -> None:
    promotion(model_version=STRONG, threshold=0.1)
    veteran.client.delete_registered_model_alias("products", "champion")

    with pytest.raises(TitleUnclear, match=r"alias 'champion' of model 'products' is gone.*--champion 2") as unclear:
        promotion(model_version=WEAK, threshold=0.1)
    assert "to accept the registry: python -m flows.promotion --use-case products --champion none" in str(unclear.value)
    assert score(use_case="products", dataset=veteran.cut(2), return_state=True).name == "Skipped"

    mended = promotion(champion=STRONG, requested_by="Anna")
    assert (mended["rule"], mended["champion_version"], veteran.alias("champion")) == ("by hand", STRONG, STRONG)
    assert not promotion(model_version=WEAK, threshold=0.1)["promoted"]

    veteran.client.set_registered_model_alias("products", "champion", WEAK)
    with pytest.raises(TitleUnclear, match="stands at version 1"):
        promotion(model_version=STRONG, threshold=0.1)
    with pytest.raises(RegistryError, match="version 99 never was champion"):
        promotion(champion=99)
    assert promotion(champion=WEAK)["champion_version"] == WEAK
    assert promotion(model_version=STRONG, threshold=0.1)["promoted"]
    assert [each.result.rule for each in decisions(veteran)][1] == "by hand"


def test_a_champion_that_was_deleted_by_hand_is_missed(veteran: Home) -> None:
    promotion(model_version=WEAK, threshold=0.1)
    promotion(model_version=STRONG, threshold=0.1)
    veteran.client.delete_model_version("products", STRONG)

    with pytest.raises(TitleUnclear, match=r"version 2 was deleted; to go on from there: .* --champion 1"):
        promotion(model_version=WEAK, threshold=0.1)
    with pytest.raises(
        RegistryError, match=r"version 2 .* was deleted from the registry.* left: .* --champion 1; to go"
    ):
        promotion(champion=STRONG)
    with pytest.raises(RegistryError, match=r"no version '2' .* name one of those that it holds \(1\)"):
        promotion(model_version=STRONG)
    assert promotion(champion=WEAK)["champion_version"] == veteran.alias("champion") == WEAK
    assert promotion(champion="none")["champion_version"] is veteran.alias("champion") is None
    assert promotion(model_version=WEAK, threshold=0.1)["rule"] == "floor"


@pytest.mark.usefixtures("known_costs")
def test_a_registry_that_was_begun_anew_is_not_taken_for_the_one_that_the_record_means(veteran: Home) -> None:
    promotion(model_version=WEAK, threshold=0.1)
    champion = registry.get_version(veteran.client, "products", WEAK)
    veteran.client.delete_registered_model("products")
    model_id = champion.source.removeprefix(registry.LOGGED_MODEL)
    again = {"run_id": champion.run_id, "model_id": model_id, "dataset": champion.dataset, "tags": {}}
    assert registry.register(veteran.client, "products", **again) == WEAK

    other = "version 1 of this registry is another one, it was begun anew"
    with pytest.raises(TitleUnclear, match=rf"alias .* is gone.*{other}; to go on from there: .* --champion none$"):
        promotion(threshold=0.1)
    with pytest.raises(RegistryError, match="version 1 never was champion"):
        promotion(champion=WEAK)
    veteran.client.set_registered_model_alias("products", "champion", WEAK)
    with pytest.raises(TitleUnclear, match=rf"{other}; .* to accept the registry: .* --champion 1$"):
        promotion(threshold=0.1)
    assert promotion(champion=WEAK)["champion_version"] == WEAK
    assert promotion(model_version=WEAK, threshold=0.1)["rule"] == "standing"


def test_a_rollback_to_a_version_that_was_deleted_names_the_command_that_mends_it(veteran: Home) -> None:
    promotion(model_version=WEAK, threshold=0.1)
    promotion(model_version=STRONG, threshold=0.1)
    veteran.client.delete_model_version("products", WEAK)

    with pytest.raises(RegistryError, match=r"version 1 .* was deleted.*without a champion: .* --champion none$"):
        promotion(rollback=True)

    assert veteran.alias("champion") == STRONG
    assert promotion(champion="none")["champion_version"] is None


def test_a_champion_of_another_catalogue_is_not_measured_on_rows_that_it_knows(veteran: Home) -> None:
    promotion(model_version=WEAK, threshold=0.1)
    champion, challenger = (registry.get_version(veteran.client, "products", number) for number in (WEAK, STRONG))
    foreign = champion.dataset.model_copy(
        update={"test": champion.dataset.test.model_copy(update={"sha256": "0" * 64})}
    )
    title.refuse_known_rows(
        veteran.settings, replace(champion, dataset=foreign), challenger
    )  # another test set, but none of its rows

    trained = veteran.client.get_model_version("products", STRONG).tags["dataset"]
    tested = {**json.loads(trained), "test": {key: json.loads(trained)[key] for key in ("uri", "sha256", "rows")}}
    veteran.client.set_model_version_tag("products", STRONG, "dataset", json.dumps(tested))
    with pytest.raises(TitleUnclear, match=r"was trained on [\d,]+ of the [\d,]+ rows of the challenger's"):
        promotion(model_version=STRONG, threshold=0.1)
    assert veteran.alias("champion") == WEAK


def test_a_catalogue_that_moved_on_stops_the_gate_until_a_new_set_is_frozen_which_scores_both(veteran: Home) -> None:
    first = promotion(model_version=WEAK, threshold=0.1)
    assert (first["test_looks"], first["test_remarks"]) == (3, [])  # two trainings, and this judgement
    engine = open_catalogue(veteran.settings.database_url)
    old = read_frame(veteran.cut(1).test)
    relabel(engine, old["entity_id"][:5].tolist(), "XI", "Anna")
    told = promotion(model_version=WEAK, threshold=0.1, rehearsal=True)
    assert told["test_looks"] == 3  # the same model beside nobody: nothing that was not seen before
    assert f"of the {len(old):,} rows of test set v1" in told["test_remarks"][0]
    merge_class(engine, old["target"].mode()[0], "merged", "Anna")

    with pytest.raises(TestSetOutdated, match=r"are 'merged'.*factory freeze --use-case products"):
        promotion(model_version=STRONG, threshold=0.1)
    assert [each.result.challenger_version for each in decisions(veteran)] == [WEAK]

    made = freeze(veteran.settings, "products", "Anna")
    result = promotion(threshold=0.1)

    assert made.test is not None
    assert (result["test_version"], result["test_rows"], result["test_looks"]) == ("v2", made.rows, 1)
    assert result["promoted"]
    assert result["previous_champion_metrics"]["f1_weighted"] < first["challenger_metrics"]["f1_weighted"]
    assert result["checks"][0]["said"].startswith(
        f"the {made.rows:,} rows of test set v2 are as the catalogue has them"
    )
    assert "'merged'" in str(result["test_remarks"])  # neither model was trained on it
    last = decisions(veteran)[-1]
    assert (last.dataset.test, last.dataset.sha256) == (made.test.file, veteran.cut(1).sha256)
    assert measured(veteran)[0].test_version == "v2"
    tags = veteran.tags(STRONG)
    assert (tags["decision_test_version"], tags["decision_test_looks"]) == ("v2", "1")
    run_id = veteran.client.get_model_version("products", STRONG).run_id
    card = Path(veteran.client.download_artifacts(run_id, "model_card.html")).read_text()
    assert f"v2, {made.rows:,} products, none of them trained on, looked at once" in card


def test_a_challenger_is_not_judged_on_rows_that_it_was_trained_on(veteran: Home) -> None:
    challenger = registry.get_version(veteran.client, "products", STRONG)
    own = {name: getattr(challenger.dataset, name) for name in ("uri", "sha256", "rows")}
    reciting = replace(challenger, dataset=challenger.dataset.model_copy(update={"test": FileRef(**own)}))
    with pytest.raises(TitleUnclear, match=r"challenger v2 .* was trained on [\d,]+ of the .*flows.pipeline_flow"):
        title.refuse_known_rows(veteran.settings, challenger, reciting)


def test_a_champion_without_its_files_and_a_stranger_in_the_registry_are_told(veteran: Home) -> None:
    promotion(model_version=WEAK, threshold=0.1)
    version = registry.get_version(veteran.client, "products", WEAK)
    location = veteran.client.get_logged_model(version.source.removeprefix("models:/")).artifact_location
    files = Path(location.removeprefix("file://"))
    elsewhere = files.rename(files.with_name("elsewhere"))  # other tests read them where they were made
    try:
        with pytest.raises(RegistryError, match=r"files of version 1 of model 'products' are gone .*--rollback"):
            promotion(model_version=STRONG, threshold=0.1)
    finally:
        elsewhere.rename(files)

    veteran.client.create_model_version("products", version.source, version.run_id)
    known, strangers = registry.trained_snapshots(veteran.client, "products")
    assert len(known) == 2
    assert "version 3 of model 'products' has no tag 'dataset'" in strangers[0]
