"""Pruning at a rung: which trials stop, of those that train side by side."""

import json
import math
from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from operator import itemgetter

from fittingroom.specs.search.pruners import Pruner
from fittingroom.specs.search.search_space import sampled_value
from workers.engines.base import CohortTrial


class Rungs:
    """Compares the candidates of a cohort, and those of earlier rounds of a search, at the rungs of its pruner.

    It keeps nothing from one epoch to the next, so a resumed cohort prunes as an undisturbed one.
    """

    def __init__(
        self, pruner: Pruner, trials: Sequence[CohortTrial], earlier: Mapping[int, Sequence[float]] | None = None
    ) -> None:
        """Begin.

        Args:
            pruner: the experiment's.
            trials: of the cohort.
            earlier: objectives that candidates of earlier rounds had reached, by epoch.
        """
        self._pruner = pruner
        self._is_minimized = (trials[0].spec.objective.direction or "minimize") == "minimize"
        self._candidates = {
            trial.id: json.dumps(trial.spec.model_dump(mode="json", exclude={"seed"}), sort_keys=True)
            for trial in trials
        }
        self._earlier = earlier or {}
        distinct = list(dict.fromkeys(self._candidates.values()))
        epochs = max(sampled_value(trial.spec.fit.epochs) for trial in trials)
        self._rungs = dict(zip(distinct, pruner.rungs_of(len(distinct), epochs), strict=True))

    def pruned(self, epoch: int, going: Collection[str], reached: Mapping[str, float | None]) -> set[str]:
        """Return the trials that stop after an epoch.

        Args:
            epoch: counted from 1.
            going: trials that have trained in this epoch and could go on.
            reached: best objective so far of each trial that has begun; None without a number.
        """
        brackets: dict[tuple[int, ...], set[str]] = {}
        for trial_id in going:
            candidate = self._candidates[trial_id]
            if epoch in self._rungs[candidate]:
                brackets.setdefault(tuple(self._rungs[candidate]), set()).add(candidate)
        stopped = {candidate for compared in brackets.values() for candidate in self._worse(epoch, compared, reached)}
        return {trial_id for trial_id in going if self._candidates[trial_id] in stopped}

    def _worse(self, epoch: int, compared: AbstractSet[str], reached: Mapping[str, float | None]) -> set[str]:
        """Return the candidates of a bracket that stop: those of earlier rounds take places too."""
        worst = math.inf if self._is_minimized else -math.inf
        values: dict[str, list[float]] = {}
        for trial_id, candidate in self._candidates.items():  # of equal ones the first go on, whoever trains
            if candidate in compared and trial_id in reached:
                value = reached[trial_id]
                values.setdefault(candidate, []).append(worst if value is None else value)
        means = {candidate: math.fsum(found) / len(found) for candidate, found in values.items()}
        ranked = [*((value, "") for value in self._earlier.get(epoch, ())), *((means[one], one) for one in means)]
        ranked.sort(key=itemgetter(0), reverse=not self._is_minimized)
        return {candidate for _, candidate in ranked[self._pruner.kept(len(ranked)) :] if candidate}
