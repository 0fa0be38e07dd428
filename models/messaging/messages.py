"""Messages of the queue: identifiers only, as SQL holds the rest."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Message:
    """Message about a queued cohort: its id and its queue."""

    cohort_id: str
    queue: str
