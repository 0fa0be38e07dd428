"""The fused engine: the trials of a cohort as one compiled program, one epoch a call or several short ones.

It gives the numbers of the reference engine; `tests/workers/engines/test_agreement.py` holds the two beside each
other.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from fittingroom.specs.experiment import TrialSpec
from workers.engines.backends.chosen import backend
from workers.engines.base import CannotTrainError, Checkpoint, Cohort, Report, UnusableCheckpointError
from workers.engines.fused.device_datasets import Residence
from workers.engines.fused.epoch import State, TrainingStep
from workers.engines.fused.hyperparameters import varying_numbers
from workers.engines.fused.programs import ProgramCache
from workers.engines.fused.training import Training, continued
from workers.engines.fused.trial_block import TrialArrays
from workers.engines.program_store import ProgramStore

DEFAULT_MEMORY_BYTES = 4 * 1024**3


class FusedEngine:
    """Trains cohorts as programs; keeps programs and datasets for the next cohort.

    Attributes:
        programs: the programs that were used last.
        residence: the datasets that were used last.
    """

    name = "fused"

    def __init__(
        self,
        memory_bytes: int = DEFAULT_MEMORY_BYTES,
        store: ProgramStore | None = None,
        compiler: str | None = None,
    ) -> None:
        """Make an engine that has not compiled anything yet.

        Args:
            memory_bytes: half for datasets that stay, half for the state of trials that train together.
            store: where programs are kept beyond this process.
            compiler: the one to use, to compare compilers; None: see `workers.engines.compilers`.
        """
        self.programs = ProgramCache(store)
        self._compiler = compiler
        self.residence = Residence(memory_bytes // 2)
        self._state_bytes = memory_bytes // 2
        self._capacity = backend.capacity()
        self._threads = ThreadPoolExecutor(self._capacity.calls, thread_name_prefix="fused")

    def train(self, cohort: Cohort, report: Report) -> None:
        """Train the trials together, as many as fit into memory; see `workers.engines.base.Engine`."""
        with backend.precision(cohort.trials[0].spec.precision):
            self._train(cohort, report)

    def continued(self, last: Checkpoint, trials: Mapping[str, str]) -> Checkpoint:
        """Return a checkpoint from which new trials go on; see `workers.engines.base.Engine`."""
        return continued(last, trials)

    def _train(self, cohort: Cohort, report: Report) -> None:
        if cohort.arrays.nbytes > self.residence.budget_bytes:
            taken, allowed = (f"{size / 1e6:,.0f} MB" for size in (cohort.arrays.nbytes, self.residence.budget_bytes))
            raise CannotTrainError(f"the dataset takes {taken}, {allowed} may stay on the device, so it is streamed")
        data = self.residence.get(cohort.arrays)
        step = self.programs.step(cohort.trials[0].spec, cohort.arrays)
        trial_arrays = _first_arrays(step, [trial.spec for trial in cohort.trials], features=data.training.x.shape[1])
        together = max(1, self._state_bytes // (trial_arrays[0].nbytes + 2 * step.activation_bytes))
        parts = [slice(first, first + together) for first in range(0, len(trial_arrays), together)]
        saved = cohort.checkpoint
        members = [[trial.id for trial in cohort.trials[part]] for part in parts]
        if saved is not None and saved.document.get("trials") not in members:
            raise UnusableCheckpointError("its trials do not train together here")
        stopped: set[str] = set()
        compiler = cohort.compiler or self._compiler
        for part, ids in zip(parts, members, strict=True):
            trials = [replace(t, ended_after=0) if t.id in stopped else t for t in cohort.trials[part]]
            checkpoint = saved if saved is not None and saved.document["trials"] == ids else None
            of_part = replace(cohort, trials=trials, compiler=compiler, checkpoint=checkpoint)
            training = Training(of_part, trial_arrays[part], step, data, report, self._capacity)
            stopped |= training.run(self.programs, self._threads)
            compiler = training.compiler


def _first_arrays(step: TrainingStep, specs: Sequence[TrialSpec], features: int) -> list[TrialArrays]:
    """Return the initial state of each trial. Equal seeds give equal weights, whatever else differs."""
    weights: dict[int, State] = {}
    for spec in specs:
        if spec.seed not in weights:
            weights[spec.seed] = step.first_state(spec, features)
    return [
        TrialArrays(weights[spec.seed]._replace(slots=step.first_slots(spec)), None, varying_numbers(spec.optimizer))
        for spec in specs
    ]
