"""Messages of the queue: identifiers only, as SQL holds the rest."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Message:
    """What is sent for a cohort: enough to find it."""

    cohort_id: str
    queue: str
