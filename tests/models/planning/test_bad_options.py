"""Bad options of a choice, repetitions and references: each is refused where it stands."""

from typing import Any

import pytest
from pydantic import ValidationError

from fittingroom.specs.experiment import ExperimentSpec
from fittingroom.specs.faults import InvalidSpec, faults_in
from models.planning.plan import plan_experiment
from tests.factories import DENSE_2, document, layers

DENSE = {"type": "dense", "units": 4}
UNITS = {"type": "dense", "units": {"int_uniform": [1, 65536]}}
RATES = {"name": "sgd", "learning_rate": {"choice": [0.1, 0.2]}}
LONG = {
    "name": "sgd",
    "learning_rate": {
        "schedule": "cosine_decay",
        "initial_learning_rate": 0.1,
        "decay_steps": {"choice": [1_000_000_000]},
    },
}
NESTED: dict[str, Any] = {"choice": [[]]}
for _ in range(5):
    NESTED = {"choice": [[NESTED]]}

FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"optimizer": {"choice": []}}, "/optimizer/choice"),
    ({"optimizer": {"choice": ["adam", "adam"]}}, "/optimizer/choice"),
    ({"optimizer": {"choice": ["adam", {"name": "adan"}]}}, "/optimizer/choice/1/name"),
    ({"optimizer": {"choice": ["adam", {"name": "sgd", "momentum": {"uniform": [0.5, 2.0]}}]}}, "/optimizer/choice/1/momentum/uniform/1"),
    ({"optimizer": {"choice": ["adam", {"choice": ["sgd"]}]}}, "/optimizer/choice/1"),
    ({"optimizer": {"uniform": ["adam", "sgd"]}}, "/optimizer"),
    ({"optimizer": {"name": "sgd", "learning_rate": {"choice": [0.1, {"schedule": "cosine_decay"}]}}}, "/optimizer/learning_rate/choice/1/initial_learning_rate"),
    ({"loss": {"choice": ["mse", {"a": "mse", "b": "mae"}]}}, "/loss/choice/1"),
    ({"loss": {"choice": ["mse", "huber"]}}, "/objective"),
    ({"loss": {"choice": ["mse", "huber"]}, "objective": {"metric": "loss"}}, "/objective"),
    ({"model": layers({"choice": [[], {"type": "dens", "units": 3}]}, DENSE_2)}, "/model/layers/0/choice/1/type"),
    ({"model": layers({"choice": [[{"type": "dense", "units": 0}]]}, DENSE_2)}, "/model/layers/0/choice/0/0/units"),
    ({"model": layers({"choice": [[]]})}, "/model/layers"),
    ({"model": layers({"repeat": [], "times": 2}, DENSE_2)}, "/model/layers/0/repeat"),
    ({"model": layers({"repeat": [DENSE], "times": 0}, DENSE_2)}, "/model/layers/0/times"),
    ({"model": layers({"repeat": [DENSE]}, DENSE_2)}, "/model/layers/0/times"),
    ({"model": layers({"repeat": [DENSE], "times": 100}, DENSE_2)}, "/model/layers"),
    ({"model": layers({"repeat": [{"repeat": [DENSE], "times": 2}], "times": 2}, DENSE_2)}, "/model/layers/0/repeat/0"),
    ({"model": layers({"repeat": [DENSE | {"name": "a"}], "times": 2}, DENSE_2)}, "/model/layers/0/repeat/0"),
    ({"model": layers({"choice": [[], {"type": "conv1d", "filters": 2, "kernel_size": 3}]}, DENSE_2)}, "/model/layers/0/choice/1"),
    ({"model": layers({"choice": [[DENSE, {"type": "conv1d", "filters": 2, "kernel_size": 3}], []]}, DENSE_2)}, "/model/layers/0/choice/0/1"),
    ({"model": layers({"repeat": [DENSE], "times": 2}, {"type": "conv1d", "filters": 2, "kernel_size": 3}, DENSE_2)}, "/model/layers/1"),
    ({"model": layers({"repeat": [DENSE], "times": 2}, {"type": "dense", "units": 3, "activation": "softmax"})}, "/model/layers/1/units"),
    ({"model": layers(DENSE | {"units": {"same_as": "/model/layers/1/units"}}, DENSE_2)}, "/model/layers/0/units"),
    ({"model": layers(DENSE | {"units": {"same_as": "/model/layers/0/units"}}, DENSE_2)}, "/model/layers/0/units"),
    ({"model": layers({"choice": [[], DENSE | {"units": {"choice": [3, 4]}}]}, DENSE | {"units": {"same_as": "/model/layers/0/choice/1/units"}}, DENSE_2)}, "/model/layers/1/units"),
    ({"model": layers(DENSE | {"units": {"same_as": "/optimizer"}}, DENSE_2), "optimizer": {"choice": ["adam", "sgd"]}}, "/model/layers/0/units"),
    ({"model": layers(DENSE | {"units": {"same_as": "/optimizer/learning_rate"}}, DENSE_2), "optimizer": {"name": "sgd", "learning_rate": {"choice": [0.1, 0.2]}}}, "/model/layers/0/units"),
    ({"model": layers({"type": "dropout", "rate": {"uniform": [0.1, 0.5], "step": 0.5}}, DENSE_2)}, "/model/layers/0/rate"),
    ({"model": layers(DENSE | {"units": {"int_uniform": [1, 5], "step": 0}}, DENSE_2)}, "/model/layers/0/units/step"),
    ({"model": layers(DENSE | {"units": {"int_log_uniform": [0, 5]}}, DENSE_2)}, "/model/layers/0/units/int_log_uniform/0"),
    ({"reduce_lr_on_plateau": {}, "optimizer": {"choice": ["adam", {"name": "sgd", "learning_rate": {"schedule": "cosine_decay", "initial_learning_rate": 0.1, "decay_steps": 9}}]}}, "/reduce_lr_on_plateau"),
    ({"model": layers({"repeat": [DENSE], "times": {"same_as": "/optimizer/learning_rate"}}, DENSE_2), "optimizer": RATES}, "/model/layers/0/times"),
    ({"model": layers({"repeat": [{"choice": [[], DENSE]}], "times": {"same_as": "/optimizer/learning_rate/decay_steps"}}, DENSE_2), "optimizer": LONG}, "/model/layers/0/times"),
    ({"model": layers({"repeat": [DENSE], "times": 2, "choice": [[]]}, DENSE_2)}, "/model/layers/0"),
    ({"model": layers(NESTED, DENSE_2)}, "/model/layers/0/choice/0/0/choice/0/0/choice/0/0/choice/0/0/choice/0/0"),
    ({"model": layers({"choice": [DENSE, [DENSE]]}, DENSE_2)}, "/model/layers/0/choice"),
    ({"model": layers(DENSE_2 | {"kernel_initializer": {"choice": ["zeros", "random_normal", {"name": "random_normal"}]}})}, "/model/layers/0/kernel_initializer/choice"),
    ({"model": layers(*[{"choice": [[UNITS] * 99, []]}] * 3, DENSE_2)}, "/model"),
    ({"model": layers(*[UNITS] * 99, DENSE_2)}, ""),
    ({"model": layers(DENSE | {"units": {"int_uniform": [1, 3], "step": 10**400}}, DENSE_2)}, "/model/layers/0/units/step"),
    ({"model": layers({"type": "dropout", "rate": {"uniform": [0.1, 0.3], "step": 5e-324}}, DENSE_2)}, "/model/layers/0/rate"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "pointer"), FAULTS, ids=str)
def test_bad_options_are_refused_with_a_pointer(changes: dict[str, Any], pointer: str) -> None:
    refused = document(**changes)
    with pytest.raises((ValidationError, InvalidSpec)) as caught:
        plan_experiment(ExperimentSpec.model_validate(refused))
    error = caught.value
    found = error.faults if isinstance(error, InvalidSpec) else faults_in(error, refused)
    assert pointer in [fault.pointer for fault in found], found
