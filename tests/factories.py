"""Documents for tests: a small valid experiment, and ways to change one thing in it."""

import base64
from typing import Any

from fittingroom.specs.experiment import ExperimentSpec
from models.messaging.waiting import WaitingCohort
from models.planning.plan import plan_experiment
from models.sql.database import Database
from models.sql.plans.submissions import Accepted, Submission, add_experiments

WEBHOOK_SECRET = "whsec_" + base64.b64encode(b"a secret of thirty-two bytes, ok").decode()
SWEEP = {"optimizer": {"name": "sgd", "learning_rate": {"choice": [0.1, 0.01]}}}
"""Changes that make two trials of an experiment."""
DENSE_2 = {"type": "dense", "units": 2, "activation": "softmax"}
DENSE_10 = {"type": "dense", "units": 10, "activation": "softmax"}


def document(**changes: Any) -> dict[str, Any]:
    """Return a valid experiment on titanic, of two epochs, with top-level keys replaced or (None) left out."""
    base: dict[str, Any] = {
        "name": "a test",
        "dataset": {"name": "titanic", "standardize": True},
        "model": {"layers": [{"type": "dense", "units": 4, "activation": "relu"}, DENSE_2]},
        "optimizer": {"name": "sgd", "learning_rate": 0.01},
        "loss": "categorical_crossentropy",
        "metrics": ["accuracy"],
        "fit": {"epochs": 2, "validation_split": 0.3},
    }
    return {key: value for key, value in (base | changes).items() if value is not None}


def layers(*given: dict[str, Any]) -> dict[str, Any]:
    """Return a model of these layers."""
    return {"layers": list(given)}


def digits(*given: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return a valid experiment on a few digits: the layers given, then one unit per digit."""
    return document(dataset={"name": "mnist-sample", "rows": 100}, model=layers(*given, DENSE_10), **changes)


def spec(**changes: Any) -> ExperimentSpec:
    """Return a validated experiment."""
    return ExperimentSpec.model_validate(document(**changes))


def store(database: Database, **changes: Any) -> tuple[str, list[WaitingCohort]]:
    """Store such an experiment: its id, and its cohorts."""
    validated = spec(**changes)
    with database.writing() as session:
        [stored] = add_experiments(session, [Submission("default", validated, plan_experiment(validated))])
    assert isinstance(stored, Accepted)
    return stored.experiment_id, list(stored.cohorts)
