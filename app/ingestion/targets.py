"""The target: classes, or numbers."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from app.ingestion.columns import finite, is_date, is_text, plain, refuse_invisible, texts_of
from app.ingestion.refusals import Refusal
from fittingroom.specs.datasets import Task
from fittingroom.specs.limits import MAX_CLASSES

_FEW_CLASSES = 20
"""Whole numbers with at most so many values are thought to be classes, unless the client says otherwise."""


def encode_target(name: str, values: pa.ChunkedArray, task: str) -> tuple[NDArray[Any], Task, list[str]]:
    """Return the target's numbers, whether they are classes, and the classes' names.

    Raises:
        Refusal: they cannot be one.
    """
    values = plain(name, values)
    if pa.types.is_null(values.type) or values.null_count:
        row = int(pc.index(pc.is_null(values), value=True).as_py())
        detail = (
            f"the target {name!r} is missing in {values.null_count:,} rows, first in row {row + 1}; leave them out, "
        )
        raise Refusal(detail + "or have it done: drop_missing_target=true", "drop_missing_target")
    if is_date(values):
        raise Refusal(f"the target {name!r} holds dates; expected numbers or classes", "target")
    if is_text(values) or pa.types.is_boolean(values.type):
        if task == "regression":
            raise Refusal(f"the target {name!r} has texts, and regression needs numbers", "task", task)
        texts = texts_of(values)
        found, y = np.unique(texts, return_inverse=True)
        class_names = [str(value) for value in found]
        refuse_invisible(f"the target {name!r}", texts, class_names)
    else:
        is_integer = pa.types.is_integer(values.type)  # not through floats, in which large ones are equal
        numbers = values.to_numpy(zero_copy_only=False) if is_integer else finite(name, values)
        is_whole = is_integer or bool((numbers == np.round(numbers)).all())
        looks_like_classes = is_whole and len(np.unique(numbers)) <= _FEW_CLASSES
        if task == "regression" or (task == "auto" and not looks_like_classes):
            return numbers.astype(np.float32), "regression", []
        if not is_whole:
            raise Refusal(f"the target {name!r} has numbers that are not whole, so they name no classes", "task", task)
        found, y = np.unique(numbers if is_integer else numbers.astype(np.int64), return_inverse=True)
        class_names = [str(value) for value in found]
    if not 2 <= len(class_names) <= MAX_CLASSES:
        raise Refusal(f"the target {name!r} has {len(class_names):,} classes; expected 2 to {MAX_CLASSES:,}", "target")
    if any(len(class_name) > 200 for class_name in class_names):
        raise Refusal(f"the target {name!r} has classes with names of more than 200 letters", "target")
    return y.reshape(-1).astype(np.int64), "classification", class_names
