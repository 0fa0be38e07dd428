"""Refusals of a file."""

from collections.abc import Iterable
from typing import Self

from fittingroom.specs.faults import Fault
from fittingroom.specs.limits import MAX_FAULTS


class Refusal(Exception):
    """The file is not as expected.

    Attributes:
        faults: for the client; a pointer names a parameter, or is empty if the file is at fault.
    """

    def __init__(self, detail: str, parameter: str = "", found: str | None = None) -> None:
        super().__init__(detail)
        self.faults = [Fault(pointer=parameter, detail=detail, found=found)]

    @classmethod
    def of(cls, refusals: Iterable["Refusal"]) -> Self:
        """Return one for the faults of several columns."""
        faults = [fault for refusal in refusals for fault in refusal.faults]
        refusal = cls(faults[0].detail)
        refusal.faults = faults[:MAX_FAULTS]
        return refusal
