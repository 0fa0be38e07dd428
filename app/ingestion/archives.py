"""NumPy's archives: `x` and `y` of an `.npz` file, never with pickled objects."""

import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from app.ingestion.columns import narrowed
from app.ingestion.encoding import MAX_NUMBERS, Encoded
from app.ingestion.groups import encode_groups
from app.ingestion.options import Options
from app.ingestion.refusals import Refusal
from app.ingestion.tables import MAX_COLUMNS, MAX_ROWS
from app.ingestion.targets import encode_target
from fittingroom.specs.datasets import Task
from fittingroom.specs.hints import nearest_hint
from fittingroom.specs.limits import MAX_CLASSES

_MAX_UNPACKED_BYTES = 2 * 1024**3
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_archive(file: Path, options: Options) -> Encoded:
    """Read an archive with `x` (rows, …), numbers, and `y`: (rows,), classes or numbers, or (rows, targets), numbers.

    Args:
        file: the archive.
        options: what its target is.

    Raises:
        Refusal: it is no such archive.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            x, y = (_read(archive, name) for name in ("x", "y"))
            groups = None if options.group is None else _groups_in(archive, options.group)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise Refusal(f"this is no .npz file that can be read: {str(error)[:200]}") from error
    if x.ndim < 2 or x.dtype.kind not in "fiub":
        raise Refusal(f"x must be numbers of the shape (rows, features), found {x.dtype} of the shape {x.shape}")
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    _refuse_no_target(y)
    if len(x) != len(y):
        raise Refusal(f"x has {len(x):,} rows, and y has {len(y):,}")
    rows = len(x)
    if groups is not None and groups.shape != (rows,):
        raise Refusal(f"the groups must be of the shape ({rows},), as y is; found {groups.shape}", "group")
    if options.drop_missing_target and y.dtype.kind == "f":
        missing = np.isnan(y) if y.ndim == 1 else np.isnan(y).any(axis=1)
        x, y, groups = x[~missing], y[~missing], None if groups is None else groups[~missing]
    features = math.prod(x.shape[1:])
    if not 2 <= len(x) <= MAX_ROWS or not 1 <= features <= MAX_COLUMNS or len(x) * features > MAX_NUMBERS:
        raise Refusal(
            f"x has {len(x):,} rows of {features:,} numbers; at least 2 rows, and at most {MAX_ROWS:,} rows, "
            f"{MAX_COLUMNS:,} numbers in a row and {MAX_NUMBERS:,} in all are taken"
        )
    with np.errstate(over="ignore"):
        numbers = np.ascontiguousarray(x.reshape(len(x), features), dtype=np.float32)
    wrong = ~np.isfinite(numbers)
    if wrong.any():
        row = int(wrong.any(axis=1).argmax())
        raise Refusal(f"x has a number that is NaN, infinite or beyond float32 in row {row + 1}; leave such rows out")
    wide = x.reshape(len(x), features)
    if any(narrowed(wide[:, place].astype(np.float64)).dtype == np.float64 for place in range(features)):
        numbers = wide.astype(np.float64)
    target, found_task, class_names, notes = _target_of(y, options.task)
    if groups is not None:
        groups = encode_groups(options.group or "", _column_of(groups))
    return Encoded(
        numbers, target, found_task, [], class_names, group=options.group, groups=groups,
        dropped_rows=rows - len(x), notes=notes,
    )  # fmt: skip


def _groups_in(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    """Return the array that says which rows belong together."""
    names = sorted(one.removesuffix(".npy") for one in archive.namelist() if one not in {"x.npy", "y.npy"})
    if name not in names:
        shown = f"arrays beside x and y: {', '.join(names[:20])[:200] or 'none'}"
        raise Refusal(f"there is no such array; {nearest_hint(name, names)}{shown}", "group", name[:80])
    groups = _read(archive, name)
    if groups.dtype.kind not in "iubU":
        raise Refusal(f"the groups must be whole numbers or texts, found {groups.dtype}", "group", name[:80])
    return groups.astype(groups.dtype.newbyteorder("="))


def _refuse_no_target(y: NDArray[Any]) -> None:
    kinds = "fiubU" if y.ndim == 1 else "fiub"
    if y.ndim not in (1, 2) or y.dtype.kind not in kinds or (y.ndim == 2 and not 1 <= y.shape[1] <= MAX_CLASSES):
        raise Refusal(
            "y must be classes or numbers of the shape (rows,), or numbers of the shape (rows, targets), found "
            f"{y.dtype} of the shape {y.shape}"
        )


def _target_of(y: NDArray[Any], task: str) -> tuple[NDArray[Any], Task, list[str], list[str]]:
    """Return the target's numbers, whether they are classes, the classes' names, and notes."""
    if y.dtype.kind == "f":  # Arrow has no wider ones
        y = y.astype(np.float64)
    native, notes = y.astype(y.dtype.newbyteorder("=")), list[str]()
    if y.ndim == 2:
        if task == "regression" or not _is_one_hot(native):
            if task == "classification":
                raise Refusal("y has several numbers in a row that are not one-hot, so they name no class", "task")
            return _several(native), "regression", [], []
        native = native.argmax(axis=1)
        notes = ["y has one 1 in each row, so its columns are classes; say task=regression to keep them as numbers"]
    return *encode_target("y", _column_of(native), task), notes


def _column_of(array: NDArray[Any]) -> pa.ChunkedArray:
    try:
        return pa.chunked_array([pa.array(array)])
    except UnicodeError as error:
        raise Refusal(f"the archive has texts that are no Unicode: {str(error)[:80]}") from error


def _is_one_hot(y: NDArray[Any]) -> bool:
    return bool(((y == 0) | (y == 1)).all() and (y.sum(axis=1) == 1).all())


def _several(y: NDArray[Any]) -> NDArray[np.float32]:
    """Return several numbers to predict in each row."""
    with np.errstate(over="ignore"):
        target = np.ascontiguousarray(y, dtype=np.float32)
    wrong = ~np.isfinite(target)
    if wrong.any():
        row = int(wrong.any(axis=1).argmax())
        raise Refusal(
            f"y has a number that is missing, infinite or beyond float32 in row {row + 1}; leave such rows out"
        )
    return target


def _read(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    """One array, after its header was found to be harmless."""
    names = archive.namelist()
    if f"{name}.npy" not in names:
        raise Refusal(f"the archive must hold the arrays x and y; found: {', '.join(names[:10])[:200] or 'nothing'}")
    info = archive.getinfo(f"{name}.npy")
    if info.file_size > _MAX_UNPACKED_BYTES:
        raise Refusal(f"{name} unpacked has {info.file_size:,} bytes; at most {_MAX_UNPACKED_BYTES:,} are taken")
    try:
        with archive.open(info) as member:
            version = np.lib.format.read_magic(member)
            if version not in _HEADERS:
                raise Refusal(f"{name} is written in version {version} of NumPy's format; expected 1.0 or 2.0")
            shape, _, dtype = _HEADERS[version](member)
        if dtype.hasobject or dtype.fields is not None:
            raise Refusal(f"{name} holds {dtype}: pickled objects are never read; save plain numbers")
        if any(axis < 0 for axis in shape) or math.prod(shape) * max(dtype.itemsize, 1) > info.file_size:
            raise Refusal(f"{name} says that it has the shape {shape}, and holds less")
        with archive.open(info) as member:
            array: NDArray[Any] = np.lib.format.read_array(member, allow_pickle=False)
    except (ValueError, zipfile.error, SyntaxError, TypeError) as error:
        raise Refusal(f"{name} is no array that can be read: {str(error)[:200]}") from error
    return array
