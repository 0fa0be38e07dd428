"""Reads what is wanted from standard input, as JSON; writes what came of it to standard output, as JSON."""

import hashlib
import json
import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from app.ingestion.archives import read_archive
from app.ingestion.csv_files import read_csv
from app.ingestion.encoding import Encoded, encode_table
from app.ingestion.options import Options
from app.ingestion.refusals import Refusal
from app.ingestion.tables import read_parquet, sentence_of
from fittingroom.specs.datasets import DatasetSchema
from fittingroom.specs.faults import Fault
from models.disk_reserve import NO_ROOM, keep_reserve

MEMORY_BYTES = 4 * 1024**3
"""Limit on the address space of the process, in bytes."""
CPU_SECONDS = 120


def main() -> None:
    """Read one file, write one dataset."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    wanted = json.load(sys.stdin)
    try:
        answer: dict[str, Any] = {"schema": ingest(wanted).model_dump(mode="json")}
    except Refusal as refusal:
        answer = {"faults": [fault.model_dump() for fault in refusal.faults]}
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        answer = {"no_room": error.strerror}
    except MemoryError:
        detail = f"reading the file takes more than {MEMORY_BYTES / 1e9:.1f} GB of memory; send fewer rows or columns"
        answer = {"faults": [Fault(pointer="", detail=detail).model_dump()]}
    except (pa.ArrowException, OverflowError) as error:
        detail = f"the file has values that cannot be read: {sentence_of(error)}"
        answer = {"faults": [Fault(pointer="", detail=detail).model_dump()]}
    sys.stdout.write(json.dumps(answer))


def ingest(wanted: Mapping[str, Any]) -> DatasetSchema:
    """Read a file and write the dataset that it holds.

    Args:
        wanted: `file`, its `format`, the `output` to write and its `max_bytes`, and the fields of `Options`.

    Raises:
        Refusal: it is not as expected.
    """
    file, options, notes = Path(wanted["file"]), Options.of(wanted), list[str]()
    if wanted["format"] == "npz":
        encoded = read_archive(file, options)
    elif wanted["format"] == "parquet":
        encoded = encode_table(read_parquet(file), options)
    else:
        table, notes = read_csv(file, options)
        encoded = encode_table(table, options)
    made = sum(array.nbytes for array in encoded.arrays.values())
    if made > wanted["max_bytes"]:
        raise Refusal(
            f"this makes {made:,} bytes of numbers from a file of {file.stat().st_size:,}; at most "
            f"{max(0, wanted['max_bytes']):,} may be kept: leave out columns of many values, or delete other datasets"
        )
    keep_reserve(Path(wanted["output"]).parent, made)
    document = {
        "task": encoded.task,
        "classes": len(encoded.class_names) or None,
        "feature_names": encoded.feature_names,
        "class_names": encoded.class_names,
    }
    _write(Path(wanted["output"]), encoded, document)
    return DatasetSchema(
        name=wanted["name"],
        description=wanted["description"],
        source=f"Uploaded as {wanted['format'].upper() if wanted['format'] != 'parquet' else 'Parquet'}.",
        rows=len(encoded.x),
        features=encoded.x.shape[1],
        target=encoded.target,
        columns=encoded.columns,
        group=encoded.group,
        groups=None if encoded.groups is None else int(encoded.groups.max()) + 1,
        preview=encoded.preview,
        left_out=encoded.left_out,
        class_extents=_extents(encoded.y, len(encoded.class_names)),
        dropped_rows=encoded.dropped_rows,
        targets=1 if encoded.y.ndim == 1 else encoded.y.shape[1],
        target_range=None if encoded.class_names else (float(encoded.y.min()), float(encoded.y.max())),
        notes=[*notes, *encoded.notes],
        sha256=_digest(encoded, document),
        **document,
    )


def _extents(y: NDArray[Any], classes: int) -> list[tuple[int, int]]:
    """Return the first and the last row of each class."""
    rows = np.arange(len(y))
    first, last = np.full(classes, len(y)), np.zeros(classes, np.int64)
    if classes:
        np.minimum.at(first, y, rows)
        np.maximum.at(last, y, rows)
    return list(zip(first.tolist(), last.tolist(), strict=True))


def _write(output: Path, encoded: Encoded, document: Mapping[str, Any]) -> None:
    text = np.frombuffer(json.dumps(document).encode(), np.uint8)
    with output.open("wb") as file:
        np.savez(file, allow_pickle=False, document=text, **encoded.arrays)


def _digest(encoded: Encoded, document: Mapping[str, Any]) -> str:
    """Return a digest of all that training sees: equal for equal numbers in any notation."""
    kind = [document, encoded.x.shape, str(encoded.y.dtype)]
    if encoded.groups is not None:  # whose digest must be no other's without
        kind.append("groups")
    digest = hashlib.sha256(json.dumps(kind).encode())
    for array in encoded.arrays.values():
        digest.update(np.ascontiguousarray(array).view(np.uint8).data)
    return digest.hexdigest()


if __name__ == "__main__":
    main()
