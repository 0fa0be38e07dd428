"""Builder of losses: a spec's class has the name of Keras's own."""

import keras

from fittingroom.specs.losses import Loss


def build_loss(spec: Loss) -> keras.losses.Loss:
    """Return the loss, averaged over the rows of a batch."""
    loss: keras.losses.Loss = getattr(keras.losses, type(spec).__name__)(
        **{name: value for name, value in spec if name != "name"}
    )
    return loss
