"""Train cohorts from given first weights on one backend.

Usage: `python -m tests.workers.engines.trained_elsewhere QUESTION ANSWER`.

The question is a file of documents and weights, the answer one of histories. Run for each backend, so that the two can
be held beside each other: each draws other first weights for a seed.
"""

import json
import sys
from pathlib import Path

import numpy as np

from tests.workers.engines.trials import cohort_of, fused_engine, trained, trial_specs
from workers.engines.fused.epoch import State, TrainingStep


def main(question: Path, answer: Path) -> None:
    documents = json.loads((question / "documents.json").read_text())
    engine, first_state = fused_engine(), TrainingStep.first_state
    histories = {}
    for name, changed in documents.items():
        file = question / f"{name}.npz"

        def transplanted(self: TrainingStep, spec: object, features: int, file: Path = file) -> State:
            state = first_state(self, spec, features)  # type: ignore[arg-type]
            if not file.exists():  # this one's are to be the other's
                np.savez(file, *state.weights)
            with np.load(file) as given:
                return state._replace(weights=[given[key] for key in given.files])

        TrainingStep.first_state = transplanted  # type: ignore[method-assign]
        histories[name] = trained(engine, cohort_of(trial_specs(changed))).histories
    answer.write_text(json.dumps(histories))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
