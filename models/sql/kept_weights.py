"""Record of a completed trial's weights: file and epoch, or the reason why there are none."""

from dataclasses import dataclass


@dataclass(frozen=True)
class KeptWeights:
    """Stored weights of a completed trial, or the reason why there are none."""

    artifact: str | None = None
    """The file that holds them."""
    artifact_epoch: int | None = None
    """Epoch that the weights are of."""
    artifact_fault: str | None = None
    """Reason why the weights were not stored."""


NO_WEIGHTS = KeptWeights()
