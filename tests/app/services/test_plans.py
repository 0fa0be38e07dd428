"""Plans that are kept."""

import pytest

from app.services.plans import Plans
from fittingroom.specs.datasets import BUILT_IN_DATASETS
from fittingroom.specs.experiment import ExperimentSpec
from fittingroom.specs.faults import InvalidSpec
from tests.factories import DENSE_2, document, spec


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


def test_memory_of_plans_is_bounded() -> None:
    plans, kept = Plans(2**40), []
    wide = {"layers": [{"type": "dense", "units": 4}] * 99 + [DENSE_2]}
    for changes in ({"model": wide}, {"seeds": list(range(100))}, {}):
        one = spec(**changes)
        made = [plans.plan(one, one.public_dump(), BUILT_IN_DATASETS) for _ in range(2)]
        kept.append(made[0] is made[1])
    assert kept == [True, False, True]
    for seed in range(300):  # each of which is estimated at a sixth of a megabyte
        one = spec(model=wide, seeds=[seed])
        plans.plan(one, one.public_dump(), BUILT_IN_DATASETS)
    assert plans.find(spec(), spec().public_dump(), BUILT_IN_DATASETS) is None
    assert plans.find(one, one.public_dump(), BUILT_IN_DATASETS) is not None


def test_invalid_spec_is_refused_each_time() -> None:
    plans = Plans(1)
    for _ in range(2):
        with pytest.raises(InvalidSpec):
            plans.plan(spec(), spec().public_dump(), BUILT_IN_DATASETS)
