"""Groups: which rows belong together, such as those of one patient."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from app.ingestion.columns import is_date, is_text
from app.ingestion.refusals import Refusal

_LEAST = 2


def encode_groups(name: str, values: pa.ChunkedArray) -> NDArray[np.int64]:
    """Return the number of the group of each row, in the order in which they come: (rows,).

    Args:
        name: of the column.
        values: one for each row; equal ones are a group.

    Raises:
        Refusal: a row has none, or all have the same.
    """
    values = _comparable(name, values)
    if values.null_count:
        row = int(pc.index(pc.is_null(values), value=True).as_py())
        detail = f"the group {name!r} is missing in {values.null_count:,} rows, first in row {row + 1}"
        raise Refusal(f"{detail}; give each row one, or leave such rows out", "group")
    found = values.unique()
    if len(found) < _LEAST:
        raise Refusal(f"all rows have the same group {name!r}; at least {_LEAST} are needed to part them", "group")
    return np.asarray(pc.index_in(values, value_set=found).to_numpy(), np.int64)


def _comparable(name: str, values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return values that are equal where the groups are, NaN as null."""
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    kind = values.type
    if pa.types.is_floating(kind):
        values = pc.add(values.cast(pa.float64()), 0.0)  # -0.0 becomes 0.0
        return pc.if_else(pc.is_nan(values), pa.scalar(None, pa.float64()), values)
    is_number = pa.types.is_integer(kind) or pa.types.is_decimal(kind) or pa.types.is_boolean(kind)
    if is_number or pa.types.is_null(kind) or is_text(values) or is_date(values):
        return values
    raise Refusal(f"the group {name!r} holds {kind}; expected numbers, texts or dates", "group", name[:80])
