"""Record of what is stored of a completed trial: its weights, or the reason why there are none, and its last state."""

from dataclasses import dataclass


@dataclass(frozen=True)
class KeptWeights:
    """Stored weights of a completed trial, or the reason why there are none, and its last state if it is kept."""

    artifact: str | None = None
    """The file that holds them."""
    artifact_epoch: int | None = None
    """Epoch that the weights are of."""
    artifact_fault: str | None = None
    """Reason why the weights were not stored."""
    checkpoint: str | None = None
    """File that holds the state with which it ended, to go on from."""
    checkpoint_bytes: int | None = None
    """Size of that state, in bytes."""


NO_WEIGHTS = KeptWeights()
