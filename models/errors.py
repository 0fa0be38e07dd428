"""Errors of the service, apart from invalid specs, each with its HTTP status."""

from collections.abc import Mapping
from typing import ClassVar

RETRY_SOON_SECONDS = 5


class FittingRoomError(Exception):
    """The base of the service's own errors; its text may be shown to a client.

    Attributes:
        status: HTTP status of the answer. A subclass without one of its own has its parent's; no request can meet
            those that have 500.
        headers: further headers of the answer.
        retry_after_seconds: time after which the same request may succeed, in seconds; header `Retry-After`.
    """

    status: ClassVar[int] = 500
    headers: ClassVar[Mapping[str, str]] = {}
    retry_after_seconds: int | None = None


class NotFoundError(FittingRoomError):
    """There is no such resource."""

    status = 404

    def __init__(self, kind: str, identifier: str) -> None:
        super().__init__(f"there is no {kind} {identifier[:80]!r}")


class ExperimentEndedError(FittingRoomError):
    """The experiment has ended, and what was asked for is for those that have not."""

    status = 409

    def __init__(self, experiment_id: str, wanted: str) -> None:
        super().__init__(f"experiment {experiment_id} has ended; only one that has not can be {wanted}")


class ExperimentUnendedError(FittingRoomError):
    """The experiment has not ended, and what was asked for is for those that have."""

    status = 409

    def __init__(self, experiment_id: str) -> None:
        super().__init__(f"experiment {experiment_id} has not ended; it can be extended when it has, or is cancelled")


class KeyReusedError(FittingRoomError):
    """An idempotency key came again, with something else."""

    status = 422

    def __init__(self, key: str, experiment_id: str) -> None:
        super().__init__(
            f"the Idempotency-Key {key[:80]!r} was used in the last 24 hours for another spec, which made experiment "
            f"{experiment_id}; send each new experiment under a key of its own"
        )


class QuotaError(FittingRoomError):
    """Quota of unfinished trials exceeded."""

    status = 429
    retry_after_seconds = 60

    def __init__(self, unended: int, wanted: int, allowed: int) -> None:
        super().__init__(
            f"quota of unfinished trials exceeded: the project has {unended:,} queued or running trials, this adds "
            f"{wanted:,}, and the key allows {allowed:,}; retry when some have ended, or cancel some"
        )


class StorageQuotaError(FittingRoomError):
    """Storage quota exceeded."""

    status = 507

    def __init__(self, stored: int, wanted: int, allowed: int) -> None:
        added = f", this adds {wanted:,}" if wanted else ""
        super().__init__(
            f"storage quota exceeded: the project stores {stored:,} bytes of datasets and weights{added}, and "
            f"{allowed:,} are allowed; delete datasets or experiments, or raise FITTINGROOM_MAX_PROJECT_BYTES"
        )


class DatasetExistsError(FittingRoomError):
    """A dataset is to get a name that stands for something else."""

    status = 409

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the name {name[:80]!r} stands for another dataset; choose another name, or delete that one first"
        )


class DatasetInUseError(FittingRoomError):
    """A dataset cannot be deleted, as something uses it."""

    status = 409

    def __init__(self, name: str, experiment_id: str) -> None:
        super().__init__(
            f"experiment {experiment_id} trains on the dataset {name[:80]!r}; cancel it, or wait until it has ended"
        )


class DatasetGoneError(FittingRoomError):
    """A dataset was deleted between the check of a spec and its storing."""

    status = 409

    def __init__(self) -> None:
        super().__init__("a dataset of this spec was deleted at the same moment; upload it again, then submit again")


class TooManyDatasetsError(FittingRoomError):
    """A project may not have so many datasets."""

    status = 409

    def __init__(self, allowed: int) -> None:
        super().__init__(f"a project may have {allowed:,} datasets; delete some that nothing needs any more")


class NoWeightsError(FittingRoomError):
    """A trial has no weights that were kept."""

    status = 409

    def __init__(self, trial_id: str, why: str) -> None:
        super().__init__(f"trial {trial_id} has no weights: {why}")


class PredictorUnavailableError(FittingRoomError):
    """The process that predicts cannot be had, or gave no answer."""

    status = 503
    retry_after_seconds = RETRY_SOON_SECONDS


class PlotUnavailableError(FittingRoomError):
    """A picture takes too long or too much memory."""

    status = 503
    retry_after_seconds = RETRY_SOON_SECONDS


class DatabaseUnavailableError(FittingRoomError):
    """The database cannot be reached, is locked, or has cut the connection."""

    status = 503
    retry_after_seconds: int | None = RETRY_SOON_SECONDS

    def __init__(self, reason: str) -> None:
        super().__init__("the database does not answer; try again soon")
        self.reason = reason
        """The driver's own words, for logs only."""


class DatabaseFullError(DatabaseUnavailableError):
    """The database's disk takes nothing more."""

    status = 507
    retry_after_seconds = None

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.args = ("the database's disk is full, or read-only; nothing was changed",)


class DuplicateRowError(FittingRoomError):
    """Another transaction has just stored a row with the same key; the same work, done again, finds it."""


class NotMigratedError(FittingRoomError):
    """The database has not the tables of this version."""

    status = 503
    retry_after_seconds = RETRY_SOON_SECONDS

    def __init__(self) -> None:
        super().__init__("the database has not the tables of this version; run `fittingroom migrate`")


class TooNewError(FittingRoomError):
    """The database has the tables of a later version."""

    status = 503
    retry_after_seconds = RETRY_SOON_SECONDS

    def __init__(self, found: str, known: str) -> None:
        super().__init__(
            f"the database has tables of version {found}; this version of Fitting Room knows up to {known}. "
            "Run the version that made them: what is queued waits for it"
        )


class BrokerUnavailableError(FittingRoomError):
    """The queue does not answer. Nothing is lost: SQL keeps the work, and it is sent later."""


class UnforeseenError(FittingRoomError):
    """Internal error: a fault of the service itself."""

    def __init__(self) -> None:
        super().__init__("internal server error; details are in the service log")


class UsageFault(FittingRoomError):
    """The spec, or what it asks of this installation, is at fault; its text is shown to the client in full."""
