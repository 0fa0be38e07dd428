"""Models such as tutorials teach, with tiny data of the right shape, and the plainest script that trains one.

Run as a program it prints the histories of `keras.fit` with the backend of this process, as JSON.
"""

import json
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

L = keras.layers
ROWS, TRAINING_ROWS, BATCH_SIZE, EPOCHS = 64, 48, 16, 2
_stream = np.random.default_rng(0)


def _uniform(*shape: int) -> NDArray[np.float32]:
    return _stream.uniform(0, 1, (ROWS, *shape)).astype(np.float32)


def _integers(below: int, *shape: int) -> NDArray[np.float32]:
    return _stream.integers(0, below, (ROWS, *shape)).astype(np.float32)


def _classes(count: int) -> NDArray[np.int64]:
    return np.arange(ROWS, dtype=np.int64) % count


@dataclass(frozen=True)
class Typical:
    """A model and its data."""

    build: Callable[[], keras.Model]
    x: NDArray[np.float32]
    """(rows, …)"""
    y: NDArray[Any]
    """(rows,): classes or numbers; (rows, targets): numbers."""
    loss: Any
    """Argument of `model.compile`."""
    metrics: Any = field(default_factory=list)
    tolerance: float = 1e-5
    """Relative difference of a history that rounding may make."""
    loss_weights: dict[str, float] | None = None
    """Argument of `model.compile`."""
    outputs: tuple[int, ...] = ()
    """Targets of each of several outputs."""


def _sequential(shape: tuple[int, ...], *layers: keras.layers.Layer) -> keras.Model:
    return keras.Sequential([keras.Input(shape), *layers])


def _wide_and_deep() -> keras.Model:
    wide, deep = keras.Input((5,), name="wide"), keras.Input((8,), name="deep")
    hidden = L.Dense(8, activation="relu")(L.Dense(8, activation="relu")(deep))
    return keras.Model([wide, deep], L.Dense(1, name="output")(L.Concatenate()([wide, hidden])))


def _residual() -> keras.Model:
    image = keras.Input((12, 12, 1))
    first = L.Conv2D(4, 3, padding="same", activation="relu")(image)
    summed = L.Add()([first, L.Conv2D(4, 3, padding="same", activation="relu")(first)])
    return keras.Model(image, L.Dense(3, activation="softmax")(L.Dropout(0.3)(L.GlobalAveragePooling2D()(summed))))


def _two_branches() -> keras.Model:
    rows = keras.Input((10,))
    joined = L.Concatenate()([L.Dense(8, activation="relu")(rows), L.Dense(8, activation="tanh")(rows)])
    return keras.Model(rows, L.Dense(2, activation="softmax")(L.Dropout(0.3)(joined)))


def _frozen_base() -> keras.Model:
    base = _sequential((10,), L.Dense(8, activation="relu"), L.BatchNormalization(), L.Dense(6, activation="relu"))
    base.trainable = False
    return _sequential((10,), base, L.Dense(3, activation="softmax"))


def _transformer() -> keras.Model:
    steps = keras.Input((10, 8))
    attended = L.MultiHeadAttention(2, 4)(steps, steps)
    mean = L.GlobalAveragePooling1D()(L.LayerNormalization()(L.Add()([steps, attended])))
    return keras.Model(steps, L.Dense(2, activation="softmax")(mean))


def _two_outputs() -> keras.Model:
    rows = keras.Input((10,))
    common = L.Dropout(0.2)(L.Dense(8, activation="relu")(rows))
    price, kind = L.Dense(2, name="price")(common), L.Dense(3, activation="softmax", name="kind")(common)
    return keras.Model(rows, [price, kind])


PIXELS = _uniform(16)
CROSSENTROPY = "sparse_categorical_crossentropy"
MODELS: dict[str, Typical] = {
    "digits from logits": Typical(
        lambda: _sequential((28, 28), L.Flatten(), L.Dense(128, activation="relu"), L.Dropout(0.2), L.Dense(10)),
        _uniform(28, 28), _classes(10), keras.losses.SparseCategoricalCrossentropy(from_logits=True), ["accuracy"],
    ),
    "convolutions": Typical(
        lambda: _sequential(
            (28, 28, 1), L.Conv2D(8, 3, activation="relu"), L.MaxPooling2D(), L.Conv2D(8, 3, activation="relu"),
            L.MaxPooling2D(), L.Flatten(), L.Dropout(0.5), L.Dense(10, activation="softmax"),
        ),
        _uniform(28, 28, 1), _classes(10), CROSSENTROPY, ["accuracy"],
    ),
    "flipped images": Typical(
        lambda: _sequential(
            (32, 32, 3), L.Rescaling(1 / 255), L.RandomFlip(), L.Conv2D(4, 3, activation="relu"), L.MaxPooling2D(),
            L.Flatten(), L.Dense(4, activation="softmax"),
        ),
        _integers(256, 32, 32, 3), _classes(4), CROSSENTROPY, ["accuracy"],
    ),
    "LSTM of words": Typical(
        lambda: _sequential((80,), L.Embedding(1000, 16), L.LSTM(16), L.Dense(1, activation="sigmoid")),
        _integers(1000, 80), _classes(2), "binary_crossentropy", ["accuracy"], 1e-4,
    ),
    "mean of words": Typical(
        lambda: _sequential(
            (80,), L.Embedding(1000, 16), L.GlobalAveragePooling1D(), L.Dense(1, activation="sigmoid")
        ),
        _integers(1000, 80), _classes(2), "binary_crossentropy", ["accuracy"],
    ),
    "GRU forecast": Typical(
        lambda: _sequential((20, 2), L.GRU(16), L.Dense(1)), _uniform(20, 2), _uniform(1)[:, 0], "mse", ["mae"], 1e-4,
    ),
    "series": Typical(
        lambda: _sequential(
            (100, 1), L.Conv1D(16, 5, activation="relu"), L.MaxPooling1D(), L.GlobalAveragePooling1D(),
            L.Dense(3, activation="softmax"),
        ),
        _uniform(100, 1), _classes(3), CROSSENTROPY, ["accuracy"],
    ),
    "normalized regression": Typical(
        lambda: _sequential((9,), L.Normalization(), L.Dense(16, activation="relu"), L.Dense(1)),
        _uniform(9) * 100 + 7, _uniform(1)[:, 0], "mae",
    ),
    "autoencoder": Typical(
        lambda: _sequential((16,), L.Dense(4, activation="relu"), L.Dense(16)), PIXELS, PIXELS, "mse",
    ),
    "wide and deep": Typical(_wide_and_deep, _uniform(13), _uniform(1)[:, 0], "mse"),
    "residual": Typical(_residual, _uniform(12, 12, 1), _classes(3), CROSSENTROPY, ["accuracy"]),
    "two branches": Typical(_two_branches, _uniform(10), _classes(2), CROSSENTROPY, ["accuracy"]),
    "frozen base": Typical(_frozen_base, _uniform(10), _classes(3), CROSSENTROPY, ["accuracy"]),
    "transformer": Typical(_transformer, _uniform(10, 8), _classes(2), CROSSENTROPY, ["accuracy"], 1e-4),
    "regularized": Typical(
        lambda: _sequential(
            (10,), L.Dense(16, kernel_regularizer="l2"), L.BatchNormalization(), L.LeakyReLU(),
            L.Dense(2, activation="softmax"),
        ),
        _uniform(10), _classes(2), CROSSENTROPY, ["accuracy"],
    ),
    "LeNet": Typical(
        lambda: _sequential(
            (28, 28, 1), L.Conv2D(6, 5, padding="same", activation="tanh"), L.AveragePooling2D(2),
            L.Conv2D(16, 5, activation="tanh"), L.AveragePooling2D(2), L.Flatten(), L.Dense(84, activation="tanh"),
            L.Dense(10, activation="softmax"),
        ),
        _uniform(28, 28, 1), _classes(10), CROSSENTROPY, ["accuracy"],
    ),
    "tags": Typical(
        lambda: _sequential((10,), L.Dense(8, activation="relu"), L.Dense(3, activation="sigmoid")),
        _uniform(10), _integers(2, 3), "binary_crossentropy", ["binary_accuracy", keras.metrics.AUC(name="auc")],
    ),
    "two outputs": Typical(
        _two_outputs, _uniform(10), np.concatenate([_uniform(2), _integers(3, 1)], axis=1),
        {"price": "mse", "kind": CROSSENTROPY}, {"kind": ["accuracy"], "price": ["mae"]},
        loss_weights={"price": 0.5, "kind": 2.0}, outputs=(2, 1),
    ),
}  # fmt: skip
"""Models by name, in the order of the list that the project was given; without lookups, whose inputs are texts."""


def json_of(typical: Typical) -> str:
    """Return a model's JSON, the same in every process."""
    keras.utils.clear_session(free_memory=False)
    text: str = typical.build().to_json()
    return text


def history_of(typical: Typical) -> dict[str, list[float]]:
    """Return the history of the plain script: the model's JSON loaded with the seed 0, compiled and trained."""
    text = json_of(typical)
    random.seed(0)
    model = keras.models.model_from_json(text)
    inputs = np.split(typical.x, [5], axis=1) if len(model.inputs) > 1 else typical.x
    for layer in model.layers:
        if isinstance(layer, L.Normalization):
            layer.adapt(typical.x[:TRAINING_ROWS])
    metrics = typical.metrics if typical.outputs else [_fresh(metric) for metric in typical.metrics]
    model.compile("adam", typical.loss, metrics=metrics, loss_weights=typical.loss_weights)
    targets = np.split(typical.y, np.cumsum(typical.outputs)[:-1], axis=1) if typical.outputs else typical.y
    split = 1 - TRAINING_ROWS / ROWS
    fitted = model.fit(
        inputs, targets, batch_size=BATCH_SIZE, epochs=EPOCHS, validation_split=split, shuffle=False, verbose=0
    )
    return {name: [float(value) for value in values] for name, values in fitted.history.items()}


def _fresh(metric: Any) -> Any:
    return metric if isinstance(metric, str) else type(metric).from_config(metric.get_config())


if __name__ == "__main__":
    json.dump({name: history_of(typical) for name, typical in MODELS.items()}, sys.stdout)
