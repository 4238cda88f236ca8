"""Decisions on the champion as commits in the user's git repository, where one is named.

Owns what becomes of a promotion whose commit cannot be written: it stands, its result says so, and the next promotion
or this command makes up for it.

    python -m flows.committing
    python -m flows.committing --use-case churn
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from bridge.plain_text import as_line
from factory import use_cases
from factory.contracts import PromotionResult
from factory.errors import FactoryError
from factory.settings import Settings, SettingsError, read_settings
from flows.adapters.git_branch import GitError
from flows.adapters.promotion_case import Case
from flows.adapters.promotion_commits import write_missing

REMEDY = "the next promotion writes what is missing, and so does: python -m flows.committing"


@task(cache_policy=NO_CACHE)
def commit_decisions(settings: Settings, case: Case, result: PromotionResult) -> PromotionResult:
    """The result with its commit, or with why commits are missing; as it is where no repository is named."""
    if settings.promotion_repository is None or case.rehearsal:
        return result
    from mlflow.exceptions import MlflowException

    log = get_run_logger()
    try:
        written = write_missing(settings, case.model)
    except (GitError, FactoryError, MlflowException) as error:
        said = f"{as_line(str(error))}; {REMEDY}"
        log.warning("commits are missing: %s", said)
        return result.model_copy(update={"commit_problem": said})
    for subject in written.new:
        log.info("committed to %s: %s", settings.promotion_branch, subject)
    return result.model_copy(update={"commit": written.commits.get(case.initiator.flow_run_id)})


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the missing commits of one use case or of all; gives the exit code."""
    from mlflow.exceptions import MlflowException

    parser = argparse.ArgumentParser(description="Commit the decisions that the git repository does not have yet.")
    names = [each.name for each in use_cases.ALL]
    parser.add_argument("--use-case", choices=names, help="whose decisions (default: all)")
    asked = parser.parse_args(arguments).use_case
    try:
        settings = read_settings()
        for model in (each for name in ([asked] if asked else names) for each in use_cases.models_of(name)):
            written = write_missing(settings, model.name)
            for subject in written.new or ("nothing is missing",):
                print(f"{model.name}: {subject}")
    except (GitError, FactoryError, MlflowException, SettingsError, ValueError) as error:
        print(f"error: {as_line(str(error))}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
