"""Plans of the specs that were sent lately: a nightly job sends many that differ in their names alone."""

import threading
from collections.abc import Mapping
from typing import Any

from cachetools import LRUCache
from pydantic_core import to_json

from fittingroom.specs.datasets import BUILT_IN_DATASETS, DatasetSchema
from fittingroom.specs.experiment import ExperimentSpec
from models.planning.plan import ExperimentPlan, plan_experiment
from models.sql.datasets import names_in

_MAX_TRIALS = 2_000
"""Number of trials whose plans are kept, of some kilobytes each."""
_UNPLANNED = {"name", "tags"}
"""Parts of a spec that decide nothing of its plan."""

_Key = tuple[bytes, ...]


class Plans:
    """Plans experiments, for any thread."""

    def __init__(self, memory_bytes: int) -> None:
        """Args: memory_bytes: memory limit of a worker."""
        self._memory_bytes = memory_bytes
        self._lock = threading.Lock()
        self._kept: LRUCache[_Key, ExperimentPlan] = LRUCache(_MAX_TRIALS, lambda plan: len(plan.trials))

    def plan(
        self, spec: ExperimentSpec, document: Mapping[str, Any], datasets: Mapping[str, DatasetSchema]
    ) -> ExperimentPlan:
        """Return the plan of an experiment; see `plan_experiment`.

        Args:
            spec: what was sent.
            document: its `public_dump`.
            datasets: those there are, by name.
        """
        found = self.find(spec, document, datasets)
        if found is None:
            found = plan_experiment(spec, self._memory_bytes, datasets)
            if len(found.trials) <= _MAX_TRIALS:
                with self._lock:
                    self._kept[_key(spec, document, datasets)] = found
        return found

    def find(
        self, spec: ExperimentSpec, document: Mapping[str, Any], datasets: Mapping[str, DatasetSchema]
    ) -> ExperimentPlan | None:
        """Return the plan of an experiment if it is known."""
        with self._lock:
            return self._kept.get(_key(spec, document, datasets))


def _key(spec: ExperimentSpec, document: Mapping[str, Any], datasets: Mapping[str, DatasetSchema]) -> _Key:
    own = [datasets[name] for name in names_in(spec.dataset) if name in datasets and name not in BUILT_IN_DATASETS]
    planned = {key: value for key, value in document.items() if key not in _UNPLANNED}
    return to_json(planned), *(schema.model_dump_json().encode() for schema in own)
