"""Groups: which rows belong together, such as those of one patient."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from app.ingestion.columns import plain
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
    values = plain(name, values)
    if values.null_count:
        row = int(pc.index(pc.is_null(values), value=True).as_py())
        detail = f"the group {name!r} is missing in {values.null_count:,} rows, first in row {row + 1}"
        raise Refusal(f"{detail}; give each row one, or leave such rows out", "group")
    found = values.unique()
    if len(found) < _LEAST:
        raise Refusal(f"all rows have the same group {name!r}; at least {_LEAST} are needed to part them", "group")
    return np.asarray(pc.index_in(values, value_set=found).to_numpy(), np.int64)
