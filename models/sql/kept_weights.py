"""Record of a completed trial's weights: file and epoch, or the reason why there are none."""

from dataclasses import dataclass


@dataclass(frozen=True)
class KeptWeights:
    """Where the weights of a trial that has completed are, or why they are nowhere."""

    artifact: str | None = None
    """The file that holds them."""
    artifact_epoch: int | None = None
    """Epoch that the weights are of."""
    artifact_fault: str | None = None
    """Why they were not kept."""


NO_WEIGHTS = KeptWeights()
