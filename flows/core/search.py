"""A search for better settings of one candidate, within a budget, on training rows alone.

Pure but for the time it takes. Owns how settings are proposed; what they are worth is `flows.core.selection`'s
business.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flows.core.selection import AnyCandidate, Score

if TYPE_CHECKING:
    from optuna import Trial

SEED = 42


def search(
    known: Score,
    score: Callable[[AnyCandidate], Score],
    *,
    trials: int,
    seconds: float | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Score:
    """The best of `known` and of at most `trials` other settings of its candidate, by what `score` finds of each.

    `seconds` ends the search early; a search that was ended by time may give another result on another machine, one
    that was ended by `trials` does not (seeded TPE, Bergstra et al., 2011). A candidate without ranges is given back
    as it is. `tell` is handed one line a trial.
    """
    import optuna

    candidate = known.candidate
    if trials < 1 or not candidate.ranges:
        return known
    found = {0: known}

    def objective(trial: Trial) -> float:
        altered = candidate.altered(**_propose(trial, candidate))
        found[trial.number + 1] = score(altered)
        value = found[trial.number + 1].found.value
        tell(f"{candidate.name} {trial.params}: {value:.4f}")
        return value

    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it writes to standard error, past Prefect's log
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=SEED))
    study.optimize(objective, n_trials=trials, timeout=seconds)
    return max(found.values(), key=lambda score: score.found.value)


def _propose(trial: Trial, candidate: AnyCandidate) -> dict[str, Any]:
    return {
        name: trial.suggest_float(name, allowed.low, allowed.high, log=True)
        for name, allowed in candidate.ranges.items()
    }
