"""Objectives that the candidates of a search had reached at some epochs: its pruner compares later rounds with them."""

import json
from array import array
from collections.abc import Mapping, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from fittingroom.specs.fit import Objective
from fittingroom.specs.objectives import is_better, mean_objective
from fittingroom.views.states import TrialState
from models.sql.tables import EpochTable, TrialTable

AtRungs = Mapping[int, "array[float]"]
"""Objective, the mean over seeds, of each candidate that has trained so far, by epoch; infinitely bad without one."""


def objectives_at(
    session: Session,
    experiment_id: str,
    model_name: str | None,
    rounds: tuple[int, int],
    epochs: Sequence[int],
    objective: Objective,
) -> dict[int, AtRungs]:
    """Return what the candidates of ended rounds had reached, by the number of the round.

    Args:
        session: an open transaction.
        experiment_id: of the search.
        model_name: of the network, if the experiment has several: each is searched by itself.
        rounds: first and last of them.
        epochs: the rungs, in order.
        objective: metric and direction.
    """
    trials = (
        select(TrialTable.id, TrialTable.round, TrialTable.hyperparameters)
        .where(
            TrialTable.experiment_id == experiment_id, TrialTable.model_name.is_not_distinct_from(model_name),
            TrialTable.round.between(*rounds), TrialTable.is_confirming.is_(False),
            TrialTable.state.in_((TrialState.COMPLETED, TrialState.PRUNED)),
        )
        .order_by(TrialTable.number)
    )  # fmt: skip
    candidates: dict[int, dict[str, list[str]]] = {number: {} for number in range(rounds[0], rounds[1] + 1)}
    for trial_id, number, hyperparameters in session.execute(trials):
        candidates[number].setdefault(json.dumps(hyperparameters, sort_keys=True), []).append(trial_id)
    chosen = trials.with_only_columns(TrialTable.id).order_by(None)
    rows = session.execute(
        select(EpochTable.trial_id, EpochTable.epoch, EpochTable.metrics)
        .where(EpochTable.trial_id.in_(chosen), EpochTable.epoch <= max(epochs, default=0))
        .order_by(EpochTable.trial_id, EpochTable.epoch)
    )
    direction = objective.direction or "minimize"
    best: dict[str, list[float | None]] = {}
    for trial_id, _, metrics in rows:
        found = best.setdefault(trial_id, [])
        value, before = float(metrics[objective.metric]), found[-1] if found else None
        found.append(value if is_better(value, before, direction) else before)

    def reached(seeds: Sequence[str], epoch: int) -> float:
        values = [best[seed] for seed in seeds if seed in best]
        return mean_objective([one[min(epoch, len(one)) - 1] for one in values], direction)

    return {
        number: {
            epoch: array(
                "d",
                [
                    reached(seeds, epoch)
                    for seeds in of_round.values()
                    if any(len(best.get(seed, ())) >= epoch for seed in seeds)
                ],
            )
            for epoch in epochs
        }
        for number, of_round in candidates.items()
    }
