"""Plans of the specs that were sent lately: a nightly job sends many that differ in their names alone."""

import hashlib
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cachetools import LRUCache
from pydantic_core import to_json

from fittingroom.specs.datasets import BUILT_IN_DATASETS, DatasetSchema
from fittingroom.specs.experiment import ExperimentSpec
from models.planning.plan import ExperimentPlan, plan_experiment
from models.planning.prior import EarlierTrial
from models.sql.datasets import names_in

if TYPE_CHECKING:
    from models.planning.leaders import Leaders

_UNPLANNED = {"name", "tags"}
"""Parts of a document that decide nothing of its plan."""
_MAX_BYTES = 32 * 1024**2
"""Estimated size of the plans that are kept."""
_MAX_BYTES_EACH = 2 * 1024**2
_BYTES_PER_CHARACTER = 50
"""Estimated size of a trial in memory, for each character of the document: measured with a hundred dense layers."""


class Plans:
    """Plans experiments, for any thread."""

    def __init__(self, memory_bytes: int) -> None:
        """Args: memory_bytes: memory limit of a worker."""
        self._memory_bytes = memory_bytes
        self._lock = threading.Lock()
        self._kept: LRUCache[bytes, tuple[ExperimentPlan, int]] = LRUCache(_MAX_BYTES, lambda kept: kept[1])

    def plan(
        self, spec: ExperimentSpec, document: Mapping[str, Any], datasets: Mapping[str, DatasetSchema]
    ) -> ExperimentPlan:
        """Return the plan of an experiment; see `plan_experiment`.

        Args:
            spec: what was sent.
            document: its `public_dump`.
            datasets: those there are, by name.
        """
        text = _text(spec, document, datasets)
        found = self._find(text)
        if found is None:
            found = plan_experiment(spec, self._memory_bytes, datasets)
            size = len(text) * len(found.trials) * _BYTES_PER_CHARACTER
            if size <= _MAX_BYTES_EACH:
                with self._lock:
                    self._kept[_digest(text)] = found, size
        return found

    def with_prior(
        self, spec: ExperimentSpec, earlier: Sequence[Sequence[EarlierTrial]], datasets: Mapping[str, DatasetSchema]
    ) -> ExperimentPlan:
        """Return the plan of a search that begins with earlier results; see `plan_search`."""
        from models.planning.rounds import plan_search  # noqa: PLC0415 - SciPy takes half a second to load

        return plan_search(spec, earlier, self._memory_bytes, datasets)

    def of_leaders(
        self, spec: ExperimentSpec, leaders: "Leaders", datasets: Mapping[str, DatasetSchema]
    ) -> ExperimentPlan:
        """Return the plan of an experiment with the best candidates of another; see `plan_leaders`."""
        from models.planning.leaders import plan_leaders  # noqa: PLC0415 - few experiments need it

        return plan_leaders(spec, leaders, self._memory_bytes, datasets)

    def find(
        self, spec: ExperimentSpec, document: Mapping[str, Any], datasets: Mapping[str, DatasetSchema]
    ) -> ExperimentPlan | None:
        """Return the plan of an experiment if it is known."""
        return self._find(_text(spec, document, datasets))

    def _find(self, text: bytes) -> ExperimentPlan | None:
        digest = _digest(text)
        with self._lock:
            kept = self._kept.get(digest)
        return None if kept is None else kept[0]


def _text(spec: ExperimentSpec, document: Mapping[str, Any], datasets: Mapping[str, DatasetSchema]) -> bytes:
    """Return all that decides a plan."""
    own = [datasets[name] for name in names_in(spec.dataset) if name in datasets and name not in BUILT_IN_DATASETS]
    planned = {key: value for key, value in document.items() if key not in _UNPLANNED}
    return b"\n".join([to_json(planned), *(schema.model_dump_json().encode() for schema in own)])


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()
