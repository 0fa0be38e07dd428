"""Datasets that were uploaded: which there are, who trains on them, and where their numbers lie.

The numbers lie in the storage under their hash; nobody removes them at once, as somebody else may just be uploading
the same ones: see `models.maintenance.retention`.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from fittingroom.specs.datasets import BUILT_IN_DATASETS, DatasetSchema
from fittingroom.specs.experiment import Dataset
from models.errors import DatasetExistsError, DatasetInUseError, NotFoundError, StorageQuotaError, TooManyDatasetsError
from models.identifiers import new_id
from models.sql.database import clock
from models.sql.endings import IS_UNENDED
from models.sql.tables import DatasetTable, ExperimentDatasetTable, ExperimentTable
from models.sql.usage import count_stored_bytes

FOLDER = "datasets"
MAX_DATASETS = 1_000
"""Maximum number of datasets per project."""


def file_of(sha256: str) -> str:
    """Return the storage name of a dataset's arrays."""
    return f"{FOLDER}/{sha256}.npz"


def names_in(dataset: Dataset) -> list[str]:
    """Return the datasets that a spec names."""
    return [dataset.name] if dataset.validation is None else [dataset.name, dataset.validation.name]


def list_datasets(session: Session, project: str) -> Sequence[DatasetTable]:
    """Return a project's datasets, by name."""
    return session.scalars(
        select(DatasetTable).where(DatasetTable.project == project).order_by(DatasetTable.name)
    ).all()


def find_datasets(session: Session, project: str, names: Iterable[str]) -> dict[str, DatasetTable]:
    """Return the datasets of a project with one of these names."""
    rows = session.scalars(
        select(DatasetTable).where(DatasetTable.project == project, DatasetTable.name.in_(list(names)))
    )
    return {row.name: row for row in rows}


def refuse_unstorable(
    session: Session, project: str, schema: DatasetSchema, stored_bytes: int, max_stored_bytes: int
) -> DatasetTable | None:
    """Look whether a dataset may be stored; one that is there already may, and is returned.

    Args:
        session: in which it would be stored.
        project: whose it is.
        schema: what it holds.
        stored_bytes: what its numbers take in the storage.
        max_stored_bytes: what the project may keep there.

    Raises:
        DatasetExistsError: the name stands for another content.
        TooManyDatasetsError: the project has enough.
        StorageQuotaError: the project may not keep so much.
    """
    if schema.name in BUILT_IN_DATASETS:
        raise DatasetExistsError(schema.name)
    found = find_datasets(session, project, [schema.name]).get(schema.name)
    if found is not None:
        if found.sha256 != schema.sha256:
            raise DatasetExistsError(schema.name)
        return found
    count = session.scalars(select(func.count()).where(DatasetTable.project == project)).one()
    if count >= MAX_DATASETS:
        raise TooManyDatasetsError(MAX_DATASETS)
    kept = count_stored_bytes(session, project)
    if kept + stored_bytes > max_stored_bytes:
        raise StorageQuotaError(kept, stored_bytes, max_stored_bytes)
    return None


def add_dataset(
    session: Session, project: str, schema: DatasetSchema, stored_bytes: int, max_stored_bytes: int
) -> tuple[DatasetTable, bool]:
    """Store a dataset's schema; its numbers are in the storage already. Takes and raises what `refuse_unstorable` does.

    Returns:
        The dataset, and whether it was there before.
    """
    found = refuse_unstorable(session, project, schema, stored_bytes, max_stored_bytes)
    if found is not None:
        return found, True
    row = DatasetTable(
        id=new_id("dat"),
        project=project,
        name=schema.name,
        sha256=schema.sha256,
        stored_bytes=stored_bytes,
        document=schema.model_dump(mode="json"),
        created_at=session.scalars(select(clock())).one(),
    )
    session.add(row)
    session.flush()
    return row, False


def delete_dataset(session: Session, project: str, name: str) -> None:
    """Forget a dataset that nothing waits for or trains on.

    Raises:
        NotFoundError: there is none.
        DatasetInUseError: something does.
    """
    row = session.scalars(
        select(DatasetTable).where(DatasetTable.project == project, DatasetTable.name == name).with_for_update()
    ).first()
    if row is None:
        raise NotFoundError("dataset", name)
    users = select(ExperimentDatasetTable.experiment_id).where(ExperimentDatasetTable.dataset_id == row.id)
    unended = session.scalars(
        select(ExperimentTable.id).where(ExperimentTable.id.in_(users), IS_UNENDED).limit(1)
    ).first()
    if unended is not None:
        raise DatasetInUseError(name, unended)
    session.execute(delete(ExperimentDatasetTable).where(ExperimentDatasetTable.dataset_id == row.id))
    session.execute(delete(DatasetTable).where(DatasetTable.id == row.id))


def keep_datasets(session: Session, dataset_ids: Collection[str]) -> set[str]:
    """Return the datasets among some that still exist, and now stay until the transaction ends."""
    if not dataset_ids:
        return set()
    locked = select(DatasetTable.id).where(DatasetTable.id.in_(sorted(dataset_ids)))
    return set(session.scalars(locked.with_for_update(read=True, key_share=True)))


def list_unknown(session: Session, hashes: Collection[str]) -> set[str]:
    """Return the hashes among some that no dataset has."""
    wanted = sorted(hashes)
    known: set[str] = set()
    for start in range(0, len(wanted), 500):
        part = DatasetTable.sha256.in_(wanted[start : start + 500])
        known |= set(session.scalars(select(DatasetTable.sha256).where(part)))
    return set(wanted) - known


def schema_of(row: DatasetTable) -> DatasetSchema:
    """Return the schema of a dataset."""
    document: Mapping[str, object] = row.document
    return DatasetSchema.model_validate(document)
