"""What is written of the weights that a trial ends with."""

from dataclasses import dataclass


@dataclass(frozen=True)
class KeptWeights:
    """Where the weights of a trial that has completed are, or why they are nowhere."""

    artifact: str | None = None
    """The file that holds them."""
    artifact_epoch: int | None = None
    """Of which epoch they are."""
    artifact_fault: str | None = None
    """Why they were not kept."""


NO_WEIGHTS = KeptWeights()
