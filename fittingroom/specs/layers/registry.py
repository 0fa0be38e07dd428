"""All modules of layers; with their import each class is noted in `LAYER_TYPES`, by the `type` of a spec."""

from fittingroom.specs.layers import (  # noqa: F401 - their import notes the classes
    activations,
    attention,
    augmentation,
    convolutions,
    core,
    depthwise_convolutions,
    dropouts,
    images,
    merging,
    normalizations,
    pooling,
    preprocessing,
    recurrent,
    recurrent_convolutions,
    reshaping,
    wrappers,
)
from fittingroom.specs.layers.layer_spec import LAYER_TYPES

__all__ = ["LAYER_TYPES"]
