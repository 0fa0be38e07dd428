"""The checkpoints of a cohort: one file for all its trials, written whole, read only if it is whole.

The files are NumPy's `.npz`, without pickle; each part of one has a checksum. The newest two are kept, so that one
that was spoilt costs little.
"""

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

from models.sql.leases import Claim
from models.storage import UNFINISHED, Storage
from workers.engines.base import Checkpoint

FORMAT = 2
"""Raised when what a file holds changes its meaning; files of another format are left alone."""
KEPT = 2
_DOCUMENT = "document"

_log = structlog.get_logger()


@dataclass(frozen=True)
class SavedCohort:
    """Content of a checkpoint file."""

    engine: str
    """The engine's name."""
    checkpoint: Checkpoint
    watches: Mapping[str, Mapping[str, Any]]
    """State of each trial beside the engine's; see `workers.reporting.trial_rules.TrialWatch.state`."""
    compiler: str | None = None
    """Compiler of its programs, if that is known: another one would round differently."""


class Checkpoints:
    """Checkpoints of one claimed cohort."""

    def __init__(self, storage: Storage, claim: Claim, backend: str) -> None:
        """Args: where files are kept, the claim, and Keras's backend: another one rounds otherwise."""
        self._storage, self._attempt, self._backend = storage, claim.attempt, backend
        self._folder = folder_of(claim.experiment_id, claim.cohort_id)
        self._kept_folder = f"{claim.experiment_id}/last_states/{claim.cohort_id}"
        self._saved = 0

    def save(self, saved: SavedCohort) -> None:
        """Write one. All its epochs must have been written to SQL before: so no later reader finds a gap.

        Raises:
            OSError: there is no room for it, or no way to it; the earlier ones stand.
        """
        before = self._names()
        # Files sort by their names: the attempt, then how many this attempt has written.
        self._saved += 1
        name = f"{self._folder}/{self._attempt:06}-{self._saved:06}.npz"
        self._storage.write(name, _packed(saved, self._backend))
        for older in before[: len(before) + 1 - KEPT]:
            self._storage.remove(older)

    def keep(self, saved: SavedCohort) -> tuple[str, int]:
        """Write the state of trials that have ended, for good. Returns the file's name and its size, in bytes.

        Raises:
            OSError: there is no room for it, or no way to it.
        """
        epoch = max(saved.checkpoint.epochs.values())
        # With a trial in it, as trials that train one after the other may end after the same epoch.
        name = f"{self._kept_folder}/{self._attempt:06}-{epoch:06}-{min(saved.checkpoint.epochs)}.npz"
        data = _packed(saved, self._backend)
        self._storage.write(name, data)
        return name, len(data)

    def read_kept(self, name: str) -> SavedCohort | None:
        """Return the state of trials of another experiment that have ended; None if it is gone, or spoilt.

        Raises:
            OSError: the storage does not give it now.
        """
        try:
            data = self._storage.read(name)
        except FileNotFoundError:
            return None
        try:
            return _unpacked(data, self._backend)
        except Exception as error:  # noqa: BLE001 - likewise
            _log.warning("checkpoint_unreadable", name=name, error=f"{type(error).__name__}: {error}")
            return None

    def newest_first(self, completed: Mapping[str, int]) -> Iterator[SavedCohort]:
        """Yield readable checkpoints that go no further than SQL does.

        Args:
            completed: how many epochs of each unended trial SQL has.
        """
        for name in reversed(self._names()):
            try:
                saved = _unpacked(self._storage.read(name), self._backend)
            except Exception as error:  # noqa: BLE001 - a spoilt file can break its reader anywhere
                _log.warning("checkpoint_unreadable", name=name, error=f"{type(error).__name__}: {error}")
                continue
            if all(completed.get(trial_id, epoch) >= epoch for trial_id, epoch in saved.checkpoint.epochs.items()):
                yield saved
            else:
                _log.warning("checkpoint_ahead_of_database", name=name)

    def remove(self) -> None:
        """Remove all of them."""
        self._storage.remove(self._folder)

    def _names(self) -> list[str]:
        return [name for name in self._storage.list_names(self._folder) if not name.endswith(UNFINISHED)]


def folder_of(experiment_id: str, cohort_id: str) -> str:
    """Return the storage folder of a cohort's checkpoints."""
    return f"{experiment_id}/checkpoints/{cohort_id}"


def _packed(saved: SavedCohort, backend: str) -> bytes:
    document = {
        "format": FORMAT,
        "backend": backend,
        "engine": saved.engine,
        "epochs": dict(saved.checkpoint.epochs),
        "of_engine": dict(saved.checkpoint.document),
        "watches": {trial_id: dict(state) for trial_id, state in saved.watches.items()},
        "compiler": saved.compiler,
    }
    text = np.frombuffer(json.dumps(document).encode(), np.uint8)
    file = io.BytesIO()
    np.savez(file, **{_DOCUMENT: text}, **saved.checkpoint.arrays)  # type: ignore[arg-type]  # names are our own
    return file.getvalue()


def _unpacked(data: bytes, backend: str) -> SavedCohort:
    """Decode a checkpoint file.

    Raises:
        Exception: it is truncated, of another format, or another backend's.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        spoilt = archive.testzip()
    if spoilt is not None:
        raise ValueError(f"{spoilt} has another checksum than it was written with")
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        arrays: dict[str, NDArray[Any]] = {name: file[name] for name in file.files}
    document = json.loads(arrays.pop(_DOCUMENT).tobytes())
    if document["format"] != FORMAT:
        raise ValueError(f"it has format {document['format']}, this version reads {FORMAT}")
    if (found := document.get("backend", "tensorflow")) != backend:  # the first files said nothing, and were its
        raise ValueError(f"it is of a training with {found}, this worker trains with {backend}")
    checkpoint = Checkpoint(document["epochs"], document["of_engine"], arrays)
    return SavedCohort(document["engine"], checkpoint, document["watches"], document.get("compiler"))
