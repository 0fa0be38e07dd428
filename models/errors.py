"""What can go wrong between a client and its result, apart from a bad spec.

May import: nothing. Knows no HTTP: `app.errors` gives each of these its status.
"""


class FittingRoomError(Exception):
    """The base of the service's own errors; its text may be shown to a client."""


class NotFoundError(FittingRoomError):
    """There is no such resource."""

    def __init__(self, kind: str, identifier: str) -> None:
        super().__init__(f"there is no {kind} {identifier[:80]!r}")


class NotMigratedError(FittingRoomError):
    """The database has not the tables of this version."""

    def __init__(self) -> None:
        super().__init__("the database has not the tables of this version; run `fittingroom migrate`")


class BrokerUnavailableError(FittingRoomError):
    """The queue does not answer. Nothing is lost: SQL keeps the work, and it is sent later."""


class UsageFault(FittingRoomError):
    """The spec, or what it asks of this installation, is at fault; its text is shown to the client in full."""
