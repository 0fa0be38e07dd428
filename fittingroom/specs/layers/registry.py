"""All layers, by the `type` of a spec and by the class of Keras."""

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
from fittingroom.specs.layers.any_layer import Layer
from fittingroom.specs.layers.layer_spec import LAYER_TYPES, LayerSpec

KERAS_CLASSES: dict[str, type[LayerSpec]] = {
    name: layer for layer in LAYER_TYPES.values() for name in (layer.__name__, layer.exported_as) if name is not None
}
"""Classes by the name of Keras's own, and by the name under which it is exported if that is another."""

__all__ = ["KERAS_CLASSES", "LAYER_TYPES", "Layer", "LayerSpec"]
