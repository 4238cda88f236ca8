"""A trained model in a new environment with its own requirements alone: no MLflow, Prefect or file of this checkout.

Takes a minute and asks a package index, so it is no part of `make test`: run `make test-model`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from factory.contracts import DatasetRef, FileRef
from factory.sources import readers
from factory.text import product_text
from flows.adapters import registry, runs
from flows.adapters.training_record import Training
from flows.core import candidates, models
from flows.core.evaluation import evaluate
from flows.core.leakage import NearDuplicates
from flows.core.selection import Choice

CHECKOUT = Path(__file__).resolve().parents[2]
STRANGERS = ("mlflow", "prefect", "pandas", "flows", "factory", "bridge")

ASK = """
import importlib.util, json, sys
import skops.io
untrusted = skops.io.get_untrusted_types(file="model.skops")
model = skops.io.load("model.skops", trusted=[])
texts = json.load(open("texts.json"))
probabilities = model.predict_proba(texts)
strangers = [name for name in sys.argv[1:] if importlib.util.find_spec(name)]
answers = [str(model.classes_[row.argmax()]) for row in probabilities]
json.dump({"untrusted": untrusted, "strangers": strangers, "answers": answers,
           "confidence": probabilities.max(axis=1).tolist()}, sys.stdout)
"""


@pytest.fixture(scope="module")
def uv() -> str:
    """The tool that makes environments; `make test-model` brings it."""
    own = CHECKOUT / ".venv-tools" / "bin" / "uv"
    found = str(own) if own.exists() else shutil.which("uv")
    assert found, "there is no uv: run make test-model"
    return found


def products() -> pd.DataFrame:
    sample = pd.concat(readers.read_sample(), ignore_index=True)
    return sample.assign(text=product_text(sample["designation"], sample["description"]))


def register(folder: Path, frame: pd.DataFrame, name: str) -> tuple[Path, pd.DataFrame]:
    """The candidate trained and registered as the flow does it; the version's files and the model's own answers."""
    train, test = frame.iloc[::2].reset_index(drop=True), frame.iloc[1::2].reset_index(drop=True)
    (chosen,) = candidates.find([name])
    model = models.fit(train["text"], train["prdtypecode"], chosen)
    nothing = FileRef(uri=folder.as_uri(), sha256="0" * 64, rows=len(test))
    dataset = DatasetRef(
        **nothing.model_dump(),
        use_case="products",
        week=1,
        as_of=datetime(2026, 1, 5, tzinfo=UTC),
        train_rows=len(train),
        arrivals=len(train),
        classes=21,
        test=nothing,
        test_version="v1",
    )
    found = evaluate(model, test)
    training = Training(
        use_case="products",
        dataset=dataset,
        params={},
        choice=Choice(chosen),
        model=model,
        near_duplicates=NearDuplicates(0.0, ()),
        evaluation=found,
        train_labels=train["prdtypecode"],
        test_labels=test["prdtypecode"],
        flow_run_url=None,
    )
    client = registry.connect(f"sqlite:///{folder / 'mlflow.sqlite'}")
    logged = runs.log_training(client, "products", training, ui_url=None)
    files = client.get_logged_model(logged.model_id).artifact_location
    return Path(files.removeprefix("file://")), found.reference


@pytest.mark.parametrize("name", ["svm-words", "sgd-characters"])
def test_a_model_answers_the_same_with_its_own_requirements_alone(uv: str, name: str, tmp_path: Path) -> None:
    files, expected = register(tmp_path, products(), name)
    clean = tmp_path / "clean"
    clean.mkdir()
    shutil.copy(files / registry.MODEL_FILE, clean)
    (clean / "texts.json").write_text(json.dumps(list(expected["text"])))
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=clean, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    run(uv, "venv", "--python", sys.executable, str(clean / "venv"))
    python = str(clean / "venv" / "bin" / "python")
    listed = (files / "requirements.txt").read_text().split()
    needed = [line for line in listed if not line.startswith("mlflow")]  # MLflow adds itself, for its own loader
    assert {line.partition("==")[0] for line in needed} == set(runs.MODEL_NEEDS)
    run(uv, "pip", "install", "--python", python, *needed)
    answered = json.loads(run(python, "-c", ASK, *STRANGERS))

    assert answered["untrusted"] == []
    assert answered["strangers"] == []
    assert answered["answers"] == list(expected["predicted_class"])
    assert answered["confidence"] == pytest.approx(list(expected["confidence"]), abs=1e-9)
