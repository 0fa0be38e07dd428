"""Any value in any place of a document: it is refused with a fault, or taken, and nothing else happens."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from app.examples import example_documents
from fittingroom.specs.experiment import ExperimentSpec
from fittingroom.specs.faults import InvalidSpec, faults_in
from models.planning.plan import plan_experiment
from tests.app.api.malformed_bodies import functional, keras_json
from tests.factories import DENSE_2, WEBHOOK_SECRET, document, layers

ODD: list[Any] = [
    None, True, 0, -1, 10**400, 1.5, float("inf"), "", " ", "\ud800", "\x1b", "x" * 300, [], [[]], [None], {}, {"": {}},
    {"choice": []}, {"choice": [[]]}, {"uniform": [2, 1]}, {"log_uniform": [0, 1]}, {"int_uniform": ["a", "b"]},
    {"choice": [{"choice": [1]}]}, {"class_name": []}, {"name": []},
]  # fmt: skip
REGULARIZED = {
    "units": 2,
    "activation": "softmax",
    "kernel_regularizer": {"module": "keras.regularizers", "class_name": "L2", "config": {"l2": 0.1}},
    "kernel_initializer": {"module": "keras.initializers", "class_name": "HeNormal", "config": {"seed": None}},
    "dtype": {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}},
}
CHOSEN = {"type": "dense", "units": {"choice": [2, 4]}, "kernel_regularizer": {"l2": 0.1}}
LOGITS = {"name": "categorical_crossentropy", "from_logits": True}
DOCUMENTS: dict[str, dict[str, Any]] = {
    **example_documents(),
    "a Sequential": json.loads(keras_json(config=REGULARIZED)),
    "a graph": json.loads(functional(("a", ["in0"]), ("b", ["a"]))) | {"loss": LOGITS},
    "much of it": document(
        tags=["a"], seeds=[0, 1], model=None, webhook={"url": "https://example.org/", "secret": WEBHOOK_SECRET},
        models={"m": layers(CHOSEN, DENSE_2)},
        optimizer={"name": "adam", "learning_rate": {"log_uniform": [0.001, 0.1]}}, metrics=["accuracy", "auc"],
        sampler={"name": "random", "trials": 2}, loss={"name": "categorical_crossentropy", "label_smoothing": 0.1},
        early_stopping={"monitor": "val_loss", "patience": 2},
        objective={"metric": "val_loss", "direction": "minimize"},
        fit={"epochs": 2, "validation_split": 0.3, "class_weight": {"0": 1.0, "1": 2.0}, "time_limit_seconds": 60},
    ),
}  # fmt: skip


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


def replaced(document_: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    changed = copy.deepcopy(document_)
    node = changed
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return changed


@pytest.mark.parametrize("name", DOCUMENTS)
def test_odd_value_anywhere_is_a_fault_or_taken(name: str) -> None:
    refused = taken = 0
    for path in places(DOCUMENTS[name]):
        for value in ODD:
            changed = replaced(DOCUMENTS[name], path, value)
            try:
                plan_experiment(ExperimentSpec.model_validate(changed))
            except ValidationError as error:
                faults = faults_in(error, changed)
            except InvalidSpec as error:
                faults = error.faults
            else:
                taken += 1
                continue
            refused += 1
            assert faults, (path, value)
            assert all(fault.detail and len(fault.pointer) < 3_000 for fault in faults)
    assert refused > taken


@pytest.mark.parametrize("name", DOCUMENTS)
def test_document_itself_is_taken(name: str) -> None:
    plan_experiment(ExperimentSpec.model_validate(DOCUMENTS[name]))
