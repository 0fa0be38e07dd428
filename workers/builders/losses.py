"""Builder of losses."""

import keras

from fittingroom.specs.losses import Loss

_LOSSES: dict[str, type[keras.losses.Loss]] = {
    "categorical_crossentropy": keras.losses.CategoricalCrossentropy,
    "sparse_categorical_crossentropy": keras.losses.SparseCategoricalCrossentropy,
    "binary_crossentropy": keras.losses.BinaryCrossentropy,
    "mse": keras.losses.MeanSquaredError,
    "mae": keras.losses.MeanAbsoluteError,
    "huber": keras.losses.Huber,
}


def build_loss(spec: Loss) -> keras.losses.Loss:
    """Return the loss, averaged over the rows of a batch."""
    return _LOSSES[spec.name](**{name: value for name, value in spec if name != "name"})
