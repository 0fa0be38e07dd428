"""Request body of a prediction."""

from typing import Annotated

from pydantic import Discriminator, Field, Tag

from fittingroom.specs.base import Bool, Int, Real, Spec

MAX_ROWS = 10_000
MAX_PREDICT_BYTES = 8 * 1024**2
"""Maximum size of the body, in bytes."""


Value = int | float | bool | str | None
"""A value of a column; None where it is missing."""
_Row = Annotated[list[Real | None], Field(min_length=1, max_length=1_000_000)]
_Record = Annotated[
    dict[str, Int | Real | Bool | Annotated[str, Field(max_length=10_000)] | None],
    Field(min_length=1, max_length=10_000),
]
_Rows = Annotated[
    Annotated[_Row, Tag("\0row")] | Annotated[_Record, Tag("\0record")],
    Discriminator(lambda given: "\0record" if isinstance(given, dict) else "\0row"),
]


class PredictBody(Spec):
    """Rows to predict."""

    rows: Annotated[
        list[_Rows],
        Field(min_length=1, max_length=MAX_ROWS, examples=[[[3, 22, 1, 0, 7.25, 1, 0, 0, 0, 1]]]),
    ]
    """Rows as they are before standardizing; null for a missing value. Each lists the features in the order of the
    dataset's `feature_names`; or is an object with the values of the dataset's columns, all rows alike."""
