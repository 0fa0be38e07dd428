"""Plans that are kept."""

import pytest

from app.services.plans import Plans
from fittingroom.specs.datasets import BUILT_IN_DATASETS
from fittingroom.specs.experiment import ExperimentSpec
from fittingroom.specs.faults import InvalidSpec
from tests.factories import document, spec


@pytest.mark.parametrize(
    ("changes", "kept_plans"),
    [
        ({}, 1),
        ({"name": "another", "tags": ["x"]}, 1),
        ({"seeds": [1]}, 2),
        ({"device": "gpu"}, 2),
        ({"fit": {"epochs": 3}}, 2),
    ],
)
def test_plan_is_kept_for_specs_that_differ_in_name_alone(changes: dict[str, object], kept_plans: int) -> None:
    plans = Plans(2**32)
    first, other = spec(), spec(**changes)
    made = [plans.plan(one, one.public_dump(), BUILT_IN_DATASETS) for one in (first, other, first)]
    assert len(set(map(id, made))) == kept_plans


def test_plan_of_a_dataset_is_that_of_its_content() -> None:
    plans = Plans(2**32)
    titanic = BUILT_IN_DATASETS["titanic"]
    mine = ExperimentSpec.model_validate(document(dataset="mine"))

    def counts(features: int) -> dict[int, int]:
        schema = titanic.model_copy(update={"name": "mine", "features": features, "sha256": "0" * 64})
        return plans.plan(mine, mine.public_dump(), {**BUILT_IN_DATASETS, "mine": schema}).parameter_counts

    assert counts(5) == counts(5)
    assert counts(5) != counts(6)


def test_invalid_spec_is_refused_each_time() -> None:
    plans = Plans(1)
    for _ in range(2):
        with pytest.raises(InvalidSpec):
            plans.plan(spec(), spec().public_dump(), BUILT_IN_DATASETS)
