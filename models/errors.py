"""What can go wrong between a client and its result, apart from a bad spec.

May import: nothing. Knows no HTTP: `app.errors` gives each of these its status.
"""


class FittingRoomError(Exception):
    """The base of the service's own errors; its text may be shown to a client."""


class NotFoundError(FittingRoomError):
    """There is no such resource."""

    def __init__(self, kind: str, identifier: str) -> None:
        super().__init__(f"there is no {kind} {identifier[:80]!r}")


class ExperimentEndedError(FittingRoomError):
    """The experiment has ended, and what was asked for is for those that have not."""

    def __init__(self, experiment_id: str, wanted: str) -> None:
        super().__init__(f"experiment {experiment_id} has ended; only one that has not can be {wanted}")


class NotMigratedError(FittingRoomError):
    """The database has not the tables of this version."""

    def __init__(self) -> None:
        super().__init__("the database has not the tables of this version; run `fittingroom migrate`")


class TooNewError(FittingRoomError):
    """The database has the tables of a later version."""

    def __init__(self, found: str, known: str) -> None:
        super().__init__(
            f"the database has tables of version {found}; this version of Fitting Room knows up to {known}. "
            "Run the version that made them: what is queued waits for it"
        )


class BrokerUnavailableError(FittingRoomError):
    """The queue does not answer. Nothing is lost: SQL keeps the work, and it is sent later."""


class UsageFault(FittingRoomError):
    """The spec, or what it asks of this installation, is at fault; its text is shown to the client in full."""
