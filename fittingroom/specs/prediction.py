"""Request body of a prediction."""

from typing import Annotated

from pydantic import Field

from fittingroom.specs.base import Real, Spec

MAX_ROWS = 10_000
MAX_PREDICT_BYTES = 8 * 1024**2
"""Maximum size of the body, in bytes."""


class PredictBody(Spec):
    """Rows to predict."""

    rows: Annotated[
        list[Annotated[list[Real | None], Field(min_length=1, max_length=1_000_000)]],
        Field(min_length=1, max_length=MAX_ROWS, examples=[[[3, 22, 1, 0, 7.25, 1, 0, 0, 0, 1]]]),
    ]
    """Features of each row in the order of the dataset's `feature_names`, not standardized; null for a missing
    value."""
