"""One small experiment for each thing a spec can say."""

from typing import Any

from tests.factories import DENSE_2, DENSE_10, digits, document, layers

IMAGE = [
    {"type": "reshape", "target_shape": [28, 28, 1]},
    {"type": "conv2d", "filters": 2, "kernel_size": 3, "activation": "relu", "padding": "same"},
    {"type": "max_pooling2d"},
    {"type": "batch_normalization"},
]
RATE = {"initial_learning_rate": 0.01, "decay_steps": 10}
COSINE = {"schedule": "cosine_decay", "warmup_target": 0.1, "warmup_steps": 5, **RATE}
PIECEWISE = {"schedule": "piecewise_constant_decay", "boundaries": [9], "values": [0.1, 0.01]}
REGULARIZED = {
    "type": "dense", "units": 8, "kernel_regularizer": {"l1": 0.01, "l2": 0.01}, "bias_regularizer": {"l2": 0.1},
}  # fmt: skip
KINDS: dict[str, dict[str, Any]] = {
    **{name: document(optimizer=name) for name in ("sgd", "adam", "adamw", "rmsprop", "adagrad", "nadam", "lion")},
    "nesterov": document(optimizer={"name": "sgd", "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    "clipnorm": document(optimizer={"name": "adam", "clipnorm": 0.1}),
    "clipvalue": document(optimizer={"name": "adam", "clipvalue": 0.1}),
    "global_clipnorm": document(optimizer={"name": "adam", "global_clipnorm": 0.1}),
    "exponential": document(
        optimizer={"name": "sgd", "learning_rate": {"schedule": "exponential_decay", "decay_rate": 0.9, **RATE}}
    ),
    "cosine": document(optimizer={"name": "sgd", "learning_rate": COSINE}),
    "piecewise": document(optimizer={"name": "sgd", "learning_rate": PIECEWISE}),
    "sparse": document(loss="sparse_categorical_crossentropy", metrics=["accuracy"]),
    "binary": document(
        loss={"name": "binary_crossentropy", "label_smoothing": 0.1},
        model=layers({"type": "dense", "units": 1, "activation": "sigmoid"}),
        metrics=["accuracy", "auc", "precision", "recall", "mae", "rmse"],
    ),
    "logits": document(
        loss={"name": "categorical_crossentropy", "from_logits": True}, model=layers({"type": "dense", "units": 2})
    ),
    "class weights": document(fit={"class_weight": {"0": 1, "1": 3.5}}),
    "class weights of numbers": document(
        loss="sparse_categorical_crossentropy", fit={"class_weight": {"1": 0.2}}, metrics=["accuracy"]
    ),
    "class weights, one output": document(
        loss="binary_crossentropy",
        model=layers({"type": "dense", "units": 1, "activation": "sigmoid"}),
        fit={"class_weight": {"1": 2}},
        metrics=["accuracy", "auc"],
    ),
    "a validation dataset": document(dataset={"name": "titanic", "standardize": True, "validation": "titanic"}, fit={}),
    "one number": document(loss="mse", model=layers({"type": "dense", "units": 1}), metrics=["mae", "rmse"]),
    "mse": document(loss="mse"),
    "mae": document(loss="mae", metrics=["mae", "rmse"]),
    "huber": document(loss={"name": "huber", "delta": 0.5}),
    "top_k": digits(metrics=[{"name": "top_k", "k": 3}, {"name": "auc", "curve": "PR"}, "precision", "recall"]),
    "top_k of class numbers": digits(loss="sparse_categorical_crossentropy", metrics=["top_k"]),
    "image": digits(*IMAGE, {"type": "flatten"}, {"type": "layer_normalization"}, {"type": "dropout", "rate": 0.2}),
    "pooled image": digits(*IMAGE, {"type": "global_average_pooling2d"}, {"type": "activation", "activation": "tanh"}),
    "laid out": digits(*IMAGE[1:], {"type": "flatten"}) | {
        "model": {"input_shape": [28, 28, 1], "layers": [*IMAGE[1:], {"type": "flatten"}, DENSE_10]}
    },
    "residual": document(
        model=layers(
            {"type": "dense", "units": 8, "activation": "tanh", "name": "first"},
            {"type": "dense", "units": 8, "activation": "tanh"},
            {"type": "dropout", "rate": 0.2, "name": "second"},
            {"type": "add", "inputs": ["first", "second"], "name": "sum"},
            {"type": "concatenate", "inputs": ["sum", "input"]},
            {"type": "batch_normalization"},
            DENSE_2,
        )
    ),
    "regularized": document(model=layers(REGULARIZED, DENSE_2)),
}  # fmt: skip
