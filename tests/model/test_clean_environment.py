"""A trained model in a new environment with its own requirements alone: no MLflow, Prefect or file of this checkout.

Takes a minute and asks a package index, so it is no part of `make test`: run `make test-model`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from sklearn.base import BaseEstimator

from factory import use_cases
from factory.contracts import DatasetRef, FileRef
from factory.sources import readers, tables
from factory.text import product_text
from factory.use_cases.sources import Entities
from factory.use_cases.tasks import Clusters
from factory.use_cases.use_case import Declared
from flows.adapters import registry, runs
from flows.adapters.training_record import Training
from flows.core.features.table import as_table
from flows.core.leakage import NearDuplicates
from flows.core.logic import logic_of
from flows.core.selection import Choice

CHECKOUT = Path(__file__).resolve().parents[2]
STRANGERS = ("mlflow", "prefect", "pandas", "flows", "factory", "bridge")

ASK = """
import importlib.util, json, sys
import numpy, skops.io
asked = json.load(open("asked.json"))
untrusted = skops.io.get_untrusted_types(file="model.skops")
model = skops.io.load("model.skops", trusted=asked["trusted"])
rows = asked["rows"]
if isinstance(rows, dict):
    import pandas
    rows = pandas.DataFrame(rows)
    rows = rows.where(rows.notna(), numpy.nan)
match asked["task"]:
    case "Multiclass":
        probabilities = model.predict_proba(rows)
        scores, answers = probabilities.max(axis=1), model.classes_[probabilities.argmax(axis=1)]
    case "Binary":
        scores = model.predict_proba(rows)[:, 1]
        answers = numpy.where(scores >= 0.5, "yes", "no")
    case "Regression":
        scores = model.predict(rows)
        answers = [f"{number:.6g}" for number in scores]
    case "Clusters":
        scores, answers = model.predict_proba(rows).max(axis=1), model.predict(rows) + 1
    case "Neighbours":
        index = model[-1]
        distances, places = index.kneighbors(model[:-1].transform(rows), n_neighbors=1)
        scores, answers = 1 - distances[:, 0] ** 2 / 2, index.ids_[places[:, 0]]
strangers = [name for name in sys.argv[1:] if importlib.util.find_spec(name)]
json.dump({"untrusted": untrusted, "strangers": strangers, "scores": [float(score) for score in scores],
           "answers": [str(answer) for answer in answers]}, sys.stdout)
"""
"""A program that knows scikit-learn and nothing of ours: the answer and its score of every row."""
MOST_ROWS, CLUSTERS = 1_500, 4


@pytest.fixture(scope="module")
def uv() -> str:
    """The tool that makes environments; `make test-model` brings it."""
    own = CHECKOUT / ".venv-tools" / "bin" / "uv"
    found = str(own) if own.exists() else shutil.which("uv")
    assert found, "there is no uv: run make test-model"
    return found


def products() -> pd.DataFrame:
    sample = pd.concat(readers.read_sample(), ignore_index=True)
    texts = product_text(sample["designation"], sample["description"])
    neutral = sample.rename(columns={"productid": "entity_id", "prdtypecode": "target"})
    return neutral.assign(text=texts, group=neutral["entity_id"])


def entities(declared: Declared) -> pd.DataFrame:
    use_case = declared.use_case
    source, target = use_case.entities, declared.model.task.target
    rows = tables.read_sample(source, use_case.outcome or None, lambda _: None)
    names = [column.name for column in source.columns]
    states = rows.states.reindex(columns=[source.key, *names]).rename(columns={source.key: "entity_id"})
    told = states[target] if target in names else rows.outcomes["outcome"] if target else None
    return states.assign(target=told, group=states["entity_id"]).iloc[:MOST_ROWS]


@dataclass(frozen=True)
class Registered:
    """A version's files, what its model is asked in the form of JSON, and what it answers here."""

    files: Path
    rows: object
    answers: pd.DataFrame


def register(folder: Path, declared: Declared, candidate: str) -> Registered:
    """The candidate trained and registered as the flow does it."""
    of_entities = isinstance(declared.source, Entities)
    logic, frame = logic_of(declared), entities(declared) if of_entities else products()
    train, test = frame.iloc[::2].reset_index(drop=True), frame.iloc[1::2].reset_index(drop=True)
    chosen = logic.find_candidates([candidate])[0]
    choice = Choice(chosen.altered(clusters=CLUSTERS) if isinstance(declared.model.task, Clusters) else chosen)
    model = logic.fit(train, choice)
    nothing = FileRef(uri=folder.as_uri(), sha256="0" * 64, rows=len(test))
    dataset = DatasetRef(
        **nothing.model_dump(),
        use_case=declared.use_case.name,
        week=1,
        as_of=datetime(2026, 1, 5, tzinfo=UTC),
        train_rows=len(train),
        arrivals=len(train),
        classes=train["target"].nunique(),
        test=nothing,
        test_version="v1",
    )
    training = Training(
        declared=declared,
        dataset=dataset,
        params={},
        choice=choice,
        described=logic.parameters(choice),
        model=model,
        near_duplicates=NearDuplicates(0.0, ()),
        evaluation=logic.evaluate(model, test, ()),
        train_classes=logic.classes(train),
        test_classes=logic.classes(test),
        flow_run_url=None,
    )
    client = registry.connect(f"sqlite:///{folder / 'mlflow.sqlite'}")
    logged = runs.log_training(client, training, ui_url=None)
    files = client.get_logged_model(logged.model_id).artifact_location
    place = Path(files.removeprefix("file://"))
    return Registered(place, asked_of(declared, model, test), training.evaluation.reference)


def asked_of(declared: Declared, model: BaseEstimator, test: pd.DataFrame) -> object:
    """The test rows as a model takes them: texts, or the columns that it was fitted on."""
    if not isinstance(declared.source, Entities):
        return list(test["text"])
    known = set(model.feature_names_in_)
    table = as_table(test, [column for column in declared.source.features if column.name in known])
    return json.loads(table.to_json(orient="columns"))


@pytest.mark.parametrize(
    ("model", "candidate"),
    [
        ("products", "svm-words"),
        ("products", "sgd-characters"),
        ("churn", "logistic-table"),
        ("churn", "boosting-table"),
        ("songs-genre", "boosting-table"),
        ("songs-energy", "boosting-regression"),
        ("songs-clusters", "mixture-table"),
        ("songs-similar", "cosine-tree"),
    ],
)
def test_a_model_answers_the_same_with_its_own_requirements_alone(
    uv: str, model: str, candidate: str, tmp_path: Path
) -> None:
    declared = use_cases.get_model(model)
    logic, made = logic_of(declared), register(tmp_path, declared, candidate)
    clean = tmp_path / "clean"
    clean.mkdir()
    shutil.copy(made.files / registry.MODEL_FILE, clean)
    task = type(declared.model.task).__name__
    (clean / "asked.json").write_text(json.dumps({"rows": made.rows, "trusted": logic.trusted, "task": task}))
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=clean, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    run(uv, "venv", "--python", sys.executable, str(clean / "venv"))
    python = str(clean / "venv" / "bin" / "python")
    listed = (made.files / "requirements.txt").read_text().split()
    needed = [line for line in listed if not line.startswith("mlflow")]  # MLflow adds itself, for its own loader
    assert {line.partition("==")[0] for line in needed} == set(logic.needs)
    run(uv, "pip", "install", "--python", python, *needed)
    strangers = [each for each in STRANGERS if each not in logic.needs]
    answered = json.loads(run(python, "-c", ASK, *strangers))

    assert set(answered["untrusted"]) <= set(logic.trusted)
    assert answered["strangers"] == []
    assert answered["answers"] == list(made.answers["prediction"])
    assert answered["scores"] == pytest.approx(list(made.answers["score"]), abs=1e-9)
