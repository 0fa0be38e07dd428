"""Builder of layers: a spec's class has the name of Keras's own, and its options are Keras's."""

from collections.abc import Mapping
from types import ModuleType
from typing import Any

import keras
import numpy as np

from fittingroom.specs.base import Spec
from fittingroom.specs.layers.core import EinsumDense
from fittingroom.specs.layers.layer_spec import LayerSpec, Shape, type_of
from fittingroom.specs.layers.preprocessing import Discretization, Normalization
from fittingroom.specs.layers.weights import OrthogonalRegularizer, Regularizer
from fittingroom.specs.layers.wrappers import Wrapper

_PARTS: dict[str, ModuleType] = {
    "initializer": keras.initializers,
    "regularizer": keras.regularizers,
    "constraint": keras.constraints,
}
"""Modules of what an option's document is, by the last word of the option."""


class LayerBuilder:
    """Builds layers of one network."""

    def __init__(self, policy: str, substitutes: Mapping[str, type[keras.layers.Layer]]) -> None:
        """Args: Keras's dtype policy; and classes to use in the place of Keras's own, by a layer's type."""
        self._policy, self._substitutes = policy, substitutes

    def __call__(self, spec: LayerSpec, name: str, output: Shape | None = None) -> keras.layers.Layer:
        """Return a fresh layer.

        Args:
            spec: the layer.
            name: its name.
            output: shape of its output, if it is known.
        """
        cls = self._substitutes.get(type_of(spec)) or getattr(keras.layers, spec.exported_as or type(spec).__name__)
        options = {key: self._value(key, value) for key, value in spec.options().items()}
        if isinstance(spec, EinsumDense) and isinstance(spec.output_shape, list) and output is not None:
            # Keras leaves open what is null in it, and layers after it may not.
            options["output_shape"] = output[-len(spec.output_shape) :]
        if isinstance(spec, Normalization) and output is not None:
            shape = [output[axis] for axis in spec.kept_axes(output)]
            options |= {
                key: np.reshape(options[key], shape)
                for key in ("mean", "variance")
                if isinstance(options.get(key), list)
            }
        if not spec.trainable and isinstance(spec, Wrapper):
            options["trainable"] = False  # as in Keras, which freezes what is within only when it is set later
        # What gives integers has them as its type.
        dtype = None if isinstance(spec, Discretization) and spec.output_mode == "int" else self._policy
        layer = cls(name=name, dtype=dtype, **options)
        if not spec.trainable and not isinstance(spec, Wrapper):
            layer.trainable = False
        return layer

    def _value(self, key: str, value: Any) -> Any:  # noqa: ANN401 - a Keras argument
        if isinstance(value, LayerSpec):
            return self(value, value.name or f"{'backward_' if key == 'backward_layer' else ''}{type_of(value)}")
        if isinstance(value, list) and value and isinstance(value[0], LayerSpec):
            return [self(one, one.name or f"{type_of(one)}_{number}") for number, one in enumerate(value)]
        if not isinstance(value, Spec):
            return value
        options = {name: option for name, option in value if name != "name"}
        kind = "L1L2" if isinstance(value, Regularizer) else type(value).__name__
        part = getattr(_PARTS[key.rpartition("_")[2]], kind)(**options)
        if isinstance(value, OrthogonalRegularizer):
            part.factor = value.factor  # Keras makes a tensor of it, which belongs to this process
        return part
