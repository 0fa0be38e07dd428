"""Compile cost of a network, as far as it decides which compiler is tried."""

from fittingroom.specs.experiment import TrialSpec

MAX_XLA_NORMALIZATIONS = 20
"""Number of normalisation layers up to which XLA is tried. Its time grows with their square: it took 18 and 55 s for 20
and 40 of them where the plain graph took 10 and 19 s (two cores, 2026-11-27). For dense layers it takes 1.4 times as
long as the graph, however many there are."""
_NORMALIZATIONS = {"batch_normalization", "layer_normalization"}


def takes_long_in_xla(spec: TrialSpec) -> bool:
    """Return True if XLA would compile for minutes where the plain graph is there in seconds."""
    found = sum(layer.type in _NORMALIZATIONS for layer in spec.model.layers)
    return found > MAX_XLA_NORMALIZATIONS
