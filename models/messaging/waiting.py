"""Cohorts that wait in a queue; messages say no more than that there are some."""

from dataclasses import dataclass


@dataclass(frozen=True)
class WaitingCohort:
    """A cohort that waits for a worker, and where."""

    cohort_id: str
    queue: str
