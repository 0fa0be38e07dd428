"""Accepted and refused specs."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.examples import FOLDER, IN_ORDER, example_documents
from fittingroom.specs.experiment import Dataset, ExperimentSpec, TrialSpec
from fittingroom.specs.faults import Fault, faults_in
from models.planning.plan import plan_experiment
from tests.factories import document, layers

WEBHOOK = {"url": "https://example.org/hook", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}


def faults(changed: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(ValidationError) as caught:
        ExperimentSpec.model_validate(changed)
    return {fault.pointer: fault.detail for fault in faults_in(caught.value, changed)}


def test_every_example_file_is_one_of_the_six_exercises_or_the_tutorials_search() -> None:
    assert sorted(file.stem for file in FOLDER.glob("*.json")) == sorted([*IN_ORDER, "digits_search"])


@pytest.mark.parametrize("name", IN_ORDER)
def test_exercises_can_be_planned(name: str) -> None:
    plan = plan_experiment(ExperimentSpec.model_validate(example_documents()[name]))
    assert len(plan.trials) == {"learning_rates": 3, "wider_network": 2, "deeper_network": 2}.get(name, 1)


def test_unknown_key_names_the_nearest_known_one() -> None:
    found = faults(document(optimizer={"name": "sgd", "learning_rat": 0.1}))
    assert list(found) == ["/optimizer/learning_rat"]
    assert "did you mean 'learning_rate'?" in found["/optimizer/learning_rat"]


def test_unknown_kind_names_the_nearest_known_one() -> None:
    found = faults(document(model=layers({"type": "conv2", "filters": 3})))
    assert "did you mean 'conv2d'?" in found["/model/layers/0/type"]


def test_all_faults_are_reported_together() -> None:
    changed = document(fit={"epochs": 0, "batch_size": "32"}, seeds=[-1], colour="red")
    assert set(faults(changed)) == {"/fit/epochs", "/fit/batch_size", "/seeds/0", "/colour"}


@pytest.mark.parametrize("value", ["0.1", True, None, [0.1], {"chioce": [0.1]}, float("nan"), float("inf"), 10**400])
def test_a_number_is_a_number(value: object) -> None:
    assert list(faults(document(optimizer={"name": "sgd", "learning_rate": value}))) == ["/optimizer/learning_rate"]


def test_bounds_hold_inside_search_spaces() -> None:
    found = faults(document(optimizer={"name": "sgd", "learning_rate": {"choice": [0.1, -0.1]}}))
    assert list(found) == ["/optimizer/learning_rate/choice/1"]
    found = faults(document(optimizer={"name": "sgd", "momentum": {"uniform": [0.5, 1.5]}}))
    assert list(found) == ["/optimizer/momentum/uniform/1"]
    found = faults(document(optimizer={"name": "adam", "learning_rate": {"choice": [0.1, float("nan")]}}))
    assert found == {"/optimizer/learning_rate/choice/1": "input should be a finite number"}


def test_short_forms_equal_documents_in_full() -> None:
    spec = ExperimentSpec.model_validate(document(optimizer="adam", loss="mse", metrics=["auc"], dataset="titanic"))
    assert spec.dataset == Dataset(name="titanic")
    assert spec.optimizer.name == "adam"
    assert spec.loss.name == "mse"
    assert spec.metrics[0].name == "auc"


@pytest.mark.parametrize(("field", "kinds"), [("optimizer", 14), ("loss", 17), ("metrics", 34)])
def test_the_schema_knows_every_kind_in_short_and_in_full(field: str, kinds: int) -> None:
    about = ExperimentSpec.model_json_schema()["properties"][field]
    one = about["anyOf"][0]["items"] if field == "metrics" else about["oneOf"][0]
    short, full, *by_output = one["anyOf"]
    assert [one["type"] for one in by_output] == (["object"] if field == "loss" else [])
    assert sorted(short["enum"]) == sorted(full["discriminator"]["mapping"])
    assert len(short["enum"]) == kinds


def test_a_trial_of_every_exercise_survives_the_database() -> None:
    for changed in example_documents().values():
        for trial in plan_experiment(ExperimentSpec.model_validate(changed)).trials:
            assert TrialSpec.model_validate_json(trial.spec.model_dump_json()) == trial.spec


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*document(), "models", "seeds", "sampler", "device"]), json_values))
def test_no_document_raises_anything_but_a_validation_error(changes: dict[str, Any]) -> None:
    changed = document() | changes
    found: list[Fault] | None = None
    try:
        ExperimentSpec.model_validate(changed)
    except ValidationError as error:
        found = faults_in(error, changed)
    assert found is None or found


@pytest.mark.parametrize("changed", [*example_documents().values(), document(webhook=WEBHOOK)])
def test_document_of_a_spec_validates_to_an_equal_spec(changed: dict[str, Any]) -> None:
    spec = ExperimentSpec.model_validate(changed)
    assert ExperimentSpec.model_validate(json.loads(json.dumps(spec.to_document()))) == spec
