"""Datasets: those built in, and those a project has uploaded.

Uploads are read by `app.ingestion`, in a process of its own.
"""

import errno
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

import structlog

from fittingroom.specs.datasets import BUILT_IN_DATASETS, DatasetSchema
from fittingroom.specs.experiment import Dataset
from fittingroom.specs.faults import Fault, InvalidSpec
from models.child_processes import module_command, own_code_first
from models.disk_reserve import DiskFullError
from models.errors import NotFoundError
from models.sql import datasets
from models.sql.database import Database
from models.storage import Storage

MAX_FILE_BYTES = 256 * 1024**2
MAX_GROWTH, ALWAYS_STORED_BYTES = 50, 64 * 1024**2
"""A file becomes at most so many times as many bytes as it has, or so many in any case."""
READING_SECONDS = 180.0
"""Timeout of parsing one file, in seconds."""

_log = structlog.get_logger()

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
_NAME = re.compile(NAME_PATTERN)
Format = Literal["csv", "parquet", "npz"]


@dataclass(frozen=True)
class Upload:
    """An upload, and what its client says of it."""

    name: str
    format: Format
    description: str
    options: Mapping[str, Any]
    """Fields of `app.ingestion.options.Options`."""


@dataclass(frozen=True)
class Datasets:
    """The datasets that a project can train on."""

    database: Database
    storage: Storage
    """Storage of the arrays."""
    temporary_dir: Path
    max_stored_bytes: int
    """Storage quota of the project, its trials' weights included, in bytes."""
    project: str

    def of(self, project: str) -> Self:
        """Return the datasets of another project."""
        return replace(self, project=project)

    def list_schemas(self) -> list[DatasetSchema]:
        """All of them: those built in, then one's own by name."""
        with self.database.reading() as session:
            rows = datasets.list_datasets(session, self.project)
        return [*BUILT_IN_DATASETS.values(), *(datasets.schema_of(row) for row in rows)]

    def get_schema(self, name: str) -> DatasetSchema:
        """One of them, or NotFoundError."""
        known, _ = self._find([name]) if _NAME.fullmatch(name) else ({}, ())
        if name not in known:
            raise NotFoundError("dataset", name)
        return known[name]

    def named_in(self, dataset: Dataset) -> tuple[Mapping[str, DatasetSchema], tuple[str, ...]]:
        """Return the schemas of a spec's datasets by name, and the ids of those that were uploaded."""
        names = datasets.names_in(dataset)
        known, ids = self._find(names)
        if not known.keys() >= set(names):  # so that the client is told which there are
            known = {schema.name: schema for schema in self.list_schemas()}
        return known, ids

    def _find(self, names: Sequence[str]) -> tuple[Mapping[str, DatasetSchema], tuple[str, ...]]:
        wanted = sorted({name for name in names if name not in BUILT_IN_DATASETS})
        if not wanted:
            return BUILT_IN_DATASETS, ()
        with self.database.reading() as session:
            rows = datasets.find_datasets(session, self.project, wanted)
        schemas = {name: datasets.schema_of(row) for name, row in rows.items()}
        return {**BUILT_IN_DATASETS, **schemas}, tuple(row.id for row in rows.values())

    def upload(self, file: Path, upload: Upload) -> tuple[DatasetSchema, bool]:
        """Read a file, keep its numbers, and give them a name; blocks.

        Returns:
            What it holds, and whether the name stood for the same before.

        Raises:
            InvalidSpec: it is not as expected; nothing was kept.
            DatasetExistsError: the name stands for something else; nothing was kept.
            StorageQuotaError: the project may not keep so much; nothing was kept.
            OSError: there is no room for it; nothing was kept.
        """
        handle, output = tempfile.mkstemp(dir=self.temporary_dir, suffix=".npz")
        os.close(handle)
        try:
            schema = _read(file, Path(output), upload, self.max_stored_bytes)
            stored_bytes = Path(output).stat().st_size
            with self.database.reading() as session:  # before anything is written, and once more when it is stored
                datasets.refuse_unstorable(session, self.project, schema, stored_bytes, self.max_stored_bytes)
            # The numbers go first, so that no name ever stands for none; if it comes to no name, they are tidied away.
            self.storage.write_file(datasets.file_of(schema.sha256 or ""), output)
        finally:
            Path(output).unlink(missing_ok=True)
        with self.database.writing() as session:
            row, is_repeated = datasets.add_dataset(session, self.project, schema, stored_bytes, self.max_stored_bytes)
            return datasets.schema_of(row), is_repeated

    def delete(self, name: str) -> None:
        """Forget one that nothing needs, or NotFoundError, or DatasetInUseError."""
        if name in BUILT_IN_DATASETS:
            raise InvalidSpec([Fault(pointer="name", detail="this dataset is built in and stays", found=name)])
        if _NAME.fullmatch(name) is None:
            raise NotFoundError("dataset", name)
        with self.database.writing() as session:
            datasets.delete_dataset(session, self.project, name)


def _read(file: Path, output: Path, upload: Upload, max_bytes: int) -> DatasetSchema:
    """Convert an upload to arrays; raises InvalidSpec or DiskFullError."""
    answer = _ask_reader(
        {
            "file": str(file),
            "output": str(output),
            "max_bytes": min(max_bytes, max(MAX_GROWTH * file.stat().st_size, ALWAYS_STORED_BYTES)),
            "name": upload.name,
            "format": upload.format,
            "description": upload.description,
            **upload.options,
        }
    )
    if "no_room" in answer:
        raise DiskFullError(errno.ENOSPC, answer["no_room"], str(output.parent))
    if "faults" in answer:
        raise InvalidSpec([Fault.model_validate(fault) for fault in answer["faults"]])
    return DatasetSchema.model_validate(answer["schema"])


def _ask_reader(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Let a process of its own read a file; its end, whatever it is, is an answer."""
    environment = {
        name: value
        for name, value in own_code_first().items()
        if name in {"PATH", "PYTHONPATH", "HOME", "LANG", "TMPDIR"}
    }
    try:
        done = subprocess.run(  # noqa: S603 - our own module
            module_command("app.ingestion"),
            input=json.dumps(wanted).encode(),
            capture_output=True,
            timeout=READING_SECONDS,
            check=False,
            # Arrow's own allocator reserves more addresses than the process may have.
            env=environment | {"ARROW_DEFAULT_MEMORY_POOL": "system", "OPENBLAS_NUM_THREADS": "1"},
        )
    except subprocess.TimeoutExpired:
        detail = f"reading the file took more than {READING_SECONDS:g} s; send fewer rows or columns"
        raise InvalidSpec([Fault(pointer="", detail=detail)]) from None
    if done.returncode != 0:
        _log.warning("upload_unreadable", status=done.returncode, stderr=done.stderr.decode(errors="replace")[-500:])
        detail = f"cannot parse the file as {wanted['format']}: the parser crashed; check that the upload is complete"
        raise InvalidSpec([Fault(pointer="", detail=detail)])
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
