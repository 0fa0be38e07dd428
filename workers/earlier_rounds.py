"""Earlier rounds of a search, with which its pruner compares: they have ended, so each is read once."""

from array import array
from collections.abc import Mapping, Sequence
from itertools import chain

from cachetools import LRUCache

from fittingroom.specs.experiment import TrialSpec
from fittingroom.specs.search.search_space import sampled_value
from models.sql.database import Database
from models.sql.rungs import AtRungs, objectives_at
from models.sql.tables import TrialTable

_SEARCHES = 4
"""Number of searches that are remembered."""


class _Search:
    """Objectives at the rungs of a search, as far as they were read."""

    def __init__(self) -> None:
        self.rungs: tuple[int, ...] = ()
        self.by_round: dict[int, AtRungs] = {}


class EarlierRounds:
    """Knows what the candidates of earlier rounds had reached at the rungs of their pruner."""

    def __init__(self, database: Database) -> None:
        """Args: where they are."""
        self._database = database
        self._known: LRUCache[tuple[str, str | None], _Search] = LRUCache(_SEARCHES)

    def at_rungs(self, rows: Sequence[TrialTable], specs: Sequence[TrialSpec]) -> Mapping[int, Sequence[float]]:
        """Return the objectives that candidates had reached in the rounds before a cohort's, by epoch.

        Args:
            rows: trials of the cohort.
            specs: theirs.
        """
        first, pruner = rows[0], specs[0].pruner
        if pruner is None or first.round == 1:
            return {}
        rungs = tuple(pruner.rungs(max(sampled_value(spec.fit.epochs) for spec in specs)))
        of_search = first.experiment_id, first.model_name
        known = self._known.setdefault(of_search, _Search())
        if len(rungs) > len(known.rungs):  # the shorter of two lists of rungs is the beginning of the longer one
            known.rungs, known.by_round = rungs, {}
        before = range(1, first.round)
        if missing := [number for number in before if number not in known.by_round]:
            ends = missing[0], missing[-1]
            with self._database.reading() as session:
                found = objectives_at(session, *of_search, ends, known.rungs, specs[0].objective)
            known.by_round.update(found)
        return {epoch: array("d", chain.from_iterable(known.by_round[one][epoch] for one in before)) for epoch in rungs}
