"""Thousands of experiments in one call: read one by one, stored by the hundred, each answered on its own.

What is held at any time is one chunk of experiments, however many there are.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import IO, Any

import structlog
from pydantic import ValidationError

from app.services.experiments import Service
from app.services.json_items import read_items, read_lines
from fittingroom.specs.experiment import ExperimentSpec
from fittingroom.specs.faults import Fault, InvalidSpec, faults_in
from fittingroom.specs.limits import MAX_BODY_BYTES, MAX_FAULTS
from fittingroom.specs.strict_json import InvalidJsonError, read_json
from fittingroom.views.submissions import BatchItemView
from models.errors import (
    DatabaseUnavailableError,
    FittingRoomError,
    KeyReusedError,
    UnforeseenError,
)
from models.sql.plans.submissions import Accepted, Refused, Submission

CHUNK = 100
_CHUNK_TRIALS = 1_000
"""Maximum number of trials per chunk: PostgreSQL ends a transaction that idles while more are planned."""
MAX_ITEMS = 20_000
_MAX_LINES = 2 * MAX_ITEMS
"""An empty line for each experiment, and one more."""
MAX_TOGETHER = 2_000
"""An all-or-nothing batch is one transaction, for which every other writer waits."""


_log = structlog.get_logger()


Unaccepted = InvalidSpec | UnforeseenError | DatabaseUnavailableError
"""Reasons why an item is not stored."""


@dataclass(frozen=True)
class Batch:
    """Request of a bulk submit, spooled to a file."""

    file: IO[bytes]
    has_lines: bool
    """True for NDJSON, False for an array."""
    idempotency_key: str | None = None

    def read(self) -> Iterator[ExperimentSpec | Unaccepted]:
        """Yield the experiments in order, or the faults of each that is invalid."""
        self.file.seek(0)
        documents = self._lines() if self.has_lines else read_items(self.file, MAX_BODY_BYTES)
        number = 0
        while True:
            try:
                document = next(documents)
            except StopIteration:
                return
            except InvalidJsonError as error:  # nothing that follows it can be made out
                detail = f"invalid JSON from this item on: {error}; later items were not read"
                yield InvalidSpec([Fault(pointer="", detail=detail)])
                return
            if number == MAX_ITEMS:
                detail = f"a batch has at most {MAX_ITEMS:,} experiments; send this one and those after it in another"
                yield InvalidSpec([Fault(pointer="", detail=detail)])
                return
            number += 1
            yield document if isinstance(document, InvalidSpec) else _validated(document)

    def refuse_unreadable(self) -> None:
        """Look whether it begins as an array does.

        Raises:
            InvalidSpec: not even its first item can be made out.
        """
        self.file.seek(0)
        if self.has_lines:
            return
        try:
            next(read_items(self.file, MAX_BODY_BYTES), None)
        except InvalidJsonError as error:
            raise InvalidSpec([Fault(pointer="", detail=f"invalid JSON: {error}")]) from None

    def key_of(self, index: int) -> str | None:
        """Return the idempotency key of one experiment of it."""
        return None if self.idempotency_key is None else f"{self.idempotency_key}#{index}"

    def _lines(self) -> Iterator[Any]:
        for line in read_lines(self.file, MAX_BODY_BYTES, _MAX_LINES):
            try:
                yield read_json(line)
            except InvalidJsonError as error:
                yield InvalidSpec([Fault(pointer="", detail=f"invalid JSON in this line: {error}")])


def submit_each(service: Service, batch: Batch) -> Iterator[BatchItemView]:
    """Store every experiment that can be, and say of each what became of it."""
    numbered = enumerate(batch.read())
    while chunk := list(islice(numbered, CHUNK)):
        planned = [(index, _planned(service, batch, index, spec)) for index, spec in chunk]
        submissions = [found for _, found in planned if isinstance(found, Submission)]
        stored = iter(_stored(service, submissions))
        for index, found in planned:
            yield _answer(index, next(stored) if isinstance(found, Submission) else found)


def _stored(service: Service, submissions: Sequence[Submission]) -> Sequence[Accepted | Refused | FittingRoomError]:
    """Store a chunk; what cannot be stored now is answered so, and the chunks after it are tried all the same."""
    try:
        return service.submissions.store(submissions)
    except DatabaseUnavailableError as error:
        return [error] * len(submissions)
    except Exception as error:  # noqa: BLE001 - the other chunks are stored all the same
        return [_unforeseen(error)] * len(submissions)


def submit_together(service: Service, batch: Batch) -> Iterator[BatchItemView]:
    """Store all experiments, or, if one of them cannot be, none.

    Raises:
        InvalidSpec: with what is wrong, by the experiment's place; nothing was stored.
        QuotaError: they are more than the project may have at once; nothing was stored.
        StorageQuotaError: the project keeps as much as it may; nothing was stored.
    """
    faults: list[Fault] = []
    count = 0
    for index, spec in enumerate(batch.read()):
        count += 1
        found = _planned(service, batch, index, spec)
        if isinstance(found, FittingRoomError):
            raise found
        if isinstance(found, InvalidSpec):
            faults += found.within(index).faults
        if len(faults) >= MAX_FAULTS:
            break
    if not faults and count > MAX_TOGETHER:
        faults = [Fault(pointer="", detail=f"at most {MAX_TOGETHER:,} experiments can be stored together, found more")]
    if faults:
        raise InvalidSpec(faults[:MAX_FAULTS])
    return iter(
        [
            _answer(index, stored)
            for index, stored in enumerate(service.submissions.store_together(_chunks(service, batch)))
        ]
    )


def _chunks(service: Service, batch: Batch) -> Iterator[list[Submission]]:
    chunk: list[Submission] = []
    for index, spec in enumerate(batch.read()):
        found = _planned(service, batch, index, spec)
        if not isinstance(found, Submission):  # it was one before; an experiment of its `prior` may be gone since
            raise found.within(index) if isinstance(found, InvalidSpec) else found
        chunk.append(found)
        if len(chunk) >= CHUNK or sum(len(one.plan.trials) for one in chunk) >= _CHUNK_TRIALS:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _validated(document: Any) -> ExperimentSpec | Unaccepted:  # noqa: ANN401 - JSON
    try:
        return ExperimentSpec.model_validate(document)
    except ValidationError as error:
        return InvalidSpec(faults_in(error, document))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is this item's alone
        return _unforeseen(error)


def _planned(service: Service, batch: Batch, index: int, spec: ExperimentSpec | Unaccepted) -> Submission | Unaccepted:
    if not isinstance(spec, ExperimentSpec):
        return spec
    try:
        return service.submission(spec, batch.key_of(index))
    except InvalidSpec as error:
        return error
    except DatabaseUnavailableError as error:
        return error
    except Exception as error:  # noqa: BLE001 - likewise
        return _unforeseen(error)


def _unforeseen(error: Exception) -> UnforeseenError:
    _log.error("unexpected_error", path="/v1/experiments/batch", exc_info=error)
    return UnforeseenError()


def _answer(index: int, found: Accepted | InvalidSpec | FittingRoomError) -> BatchItemView:
    if isinstance(found, Accepted):
        return BatchItemView(
            index=index, status=202, id=found.experiment_id, location=f"/v1/experiments/{found.experiment_id}"
        )
    faults: Sequence[Fault] = ()
    if isinstance(found, InvalidSpec):
        faults = found.faults[:MAX_FAULTS]
    elif isinstance(found, KeyReusedError):
        faults = [Fault(pointer="Idempotency-Key", detail=str(found))]
    status = found.status if isinstance(found, FittingRoomError) else 422
    return BatchItemView(index=index, status=status, detail=str(found)[:2_000], errors=list(faults))
