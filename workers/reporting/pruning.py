"""Pruning at a rung: which trials stop, of those that train side by side."""

import json
import math
from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from fittingroom.specs.choices import Direction
from fittingroom.specs.objectives import mean_objective
from fittingroom.specs.search.pruners import MedianPruner, Pruner
from fittingroom.specs.search.search_space import sampled_value
from workers.engines.base import CohortTrial


@dataclass(frozen=True)
class Ended:
    """A trial that trains no longer."""

    epochs: int
    """Number of its epochs."""
    is_pruned: bool


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
        self._direction: Direction = trials[0].spec.objective.direction or "minimize"
        self._candidates = {
            trial.id: json.dumps(trial.spec.model_dump(mode="json", exclude={"seed"}), sort_keys=True)
            for trial in trials
        }
        self._earlier = earlier or {}
        distinct = list(dict.fromkeys(self._candidates.values()))
        epochs = max(sampled_value(trial.spec.fit.epochs) for trial in trials)
        numbers: dict[tuple[int, ...], int] = {}
        self._brackets = {
            candidate: numbers.setdefault(tuple(rungs), len(numbers))
            for candidate, rungs in zip(distinct, pruner.rungs_of(len(distinct), epochs), strict=True)
        }
        """Number of the bracket of each candidate."""
        self._rungs = [frozenset(rungs) for rungs in numbers]
        """Rungs of each bracket: there may be one after each epoch."""

    def pruned(
        self, epoch: int, going: Collection[str], reached: Mapping[str, float | None], ended: Mapping[str, Ended]
    ) -> set[str]:
        """Return the trials that stop after an epoch.

        Args:
            epoch: counted from 1.
            going: trials that have trained in this epoch and could go on.
            reached: best objective so far of each trial that has begun; None without a number.
            ended: the trials that have ended.
        """
        # Where seeds train one after the other, the first that was compared has decided for all.
        before = {(self._candidates[id_], one) for id_, one in ended.items() if id_ not in going}
        stopped = {candidate for candidate, one in before if one == Ended(epoch, is_pruned=True)}
        decided = stopped | {candidate for candidate, one in before if one.epochs > epoch}
        brackets: dict[int, set[str]] = {}
        for trial_id in going:
            candidate = self._candidates[trial_id]
            bracket = self._brackets[candidate]
            if epoch in self._rungs[bracket] and candidate not in decided:
                brackets.setdefault(bracket, set()).add(candidate)
        for compared in brackets.values():
            stopped |= self._worse(epoch, compared, reached)
        return {trial_id for trial_id in going if self._candidates[trial_id] in stopped}

    def _worse(self, epoch: int, compared: AbstractSet[str], reached: Mapping[str, float | None]) -> set[str]:
        """Return the candidates of a bracket that stop, compared with those of earlier rounds too."""
        values: dict[str, list[float | None]] = {}
        for trial_id, candidate in self._candidates.items():  # of equal ones the first go on, whoever trains
            if candidate in compared and trial_id in reached:
                values.setdefault(candidate, []).append(reached[trial_id])
        sign = 1 if self._direction == "minimize" else -1
        own = {candidate: sign * mean_objective(found, self._direction) for candidate, found in values.items()}
        earlier = [sign * value for value in self._earlier.get(epoch, ())]
        if isinstance(self._pruner, MedianPruner):
            limit = self._pruner.limit(earlier)
            return {one for one in own if own[one] > limit}
        everyone = sorted([*earlier, *own.values()])
        kept = self._pruner.kept(len(everyone))
        if not own or kept == len(everyone):
            return set()
        last = everyone[kept - 1]
        # Of those that are equal there, as many of each round go on as fall to it.
        places, equal = kept - bisect_left(everyone, last), [one for one in own if own[one] == last]
        shared = math.ceil(places * len(equal) / everyone.count(last))
        return {one for one in own if own[one] > last} | set(equal[shared:])
