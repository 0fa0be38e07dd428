"""Experiments on which both engines, both backends and both compilers are compared."""

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
OPTIMIZER_NAMES = (
    "sgd", "adam", "adamw", "rmsprop", "adagrad", "nadam", "lion", "adadelta", "adamax", "ftrl", "lamb", "adafactor",
)  # fmt: skip
RESTARTS = {"schedule": "cosine_decay_restarts", "initial_learning_rate": 0.1, "first_decay_steps": 10}
POLYNOMIAL = {"schedule": "polynomial_decay", "power": 2.0, "cycle": True, **RATE, "decay_steps": 7}
KINDS: dict[str, dict[str, Any]] = {
    **{name: document(optimizer=name) for name in OPTIMIZER_NAMES},
    "nesterov": document(optimizer={"name": "sgd", "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    "clipnorm": document(optimizer={"name": "adam", "clipnorm": 0.1}),
    "clipvalue": document(optimizer={"name": "adam", "clipvalue": 0.1}),
    "global_clipnorm": document(optimizer={"name": "adam", "global_clipnorm": 0.1}),
    "exponential": document(
        optimizer={"name": "sgd", "learning_rate": {"schedule": "exponential_decay", "decay_rate": 0.9, **RATE}}
    ),
    "cosine": document(optimizer={"name": "sgd", "learning_rate": COSINE}),
    "piecewise": document(optimizer={"name": "sgd", "learning_rate": PIECEWISE}),
    "inverse time": document(
        optimizer={"name": "sgd", "learning_rate": {"schedule": "inverse_time_decay", "decay_rate": 0.5, **RATE}}
    ),
    "polynomial": document(optimizer={"name": "sgd", "learning_rate": POLYNOMIAL}),
    "cosine restarts": document(optimizer={"name": "sgd", "learning_rate": RESTARTS}),
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
    "numbers": document(
        loss="log_cosh", model=layers({"type": "dense", "units": 1, "activation": "softplus"}),
        metrics=["mse", "mape", "msle", "log_cosh", "poisson", "r2_score"],
    ),
    "mape": document(loss="mape", model=layers({"type": "dense", "units": 1})),
    "msle": document(loss="msle", model=layers({"type": "dense", "units": 1, "activation": "softplus"})),
    "poisson": document(loss="poisson", model=layers({"type": "dense", "units": 1, "activation": "softplus"})),
    "hinge": document(
        loss="hinge", model=layers({"type": "dense", "units": 1, "activation": "tanh"}),
        metrics=["accuracy", "hinge", "squared_hinge"],
    ),
    "squared hinge": document(
        loss="squared_hinge", model=layers({"type": "dense", "units": 1, "activation": "hard_tanh"})
    ),
    "categorical hinge": document(loss="categorical_hinge", metrics=["accuracy", "categorical_hinge", "f1_score"]),
    "cosine similarity without biases": document(
        loss="cosine_similarity", model=layers({"type": "dense", "units": 2, "use_bias": False}), metrics=["accuracy"]
    ),
    "a metric of positive outputs": document(
        dataset={"name": "titanic"},
        loss="mae",
        model=layers({"type": "dense", "units": 1, "kernel_initializer": "ones"}),
        optimizer={"name": "sgd", "learning_rate": 1e-6},
        metrics=["poisson", "mse"],
    ),
    "cosine similarity": document(loss="cosine_similarity", metrics=["accuracy", "cosine_similarity", "kl_divergence"]),
    "kl divergence": document(loss="kl_divergence"),
    "binary focal": document(
        loss={"name": "binary_focal_crossentropy", "apply_class_balancing": True, "gamma": 1.5, "from_logits": True},
        model=layers({"type": "dense", "units": 1}),
    ),
    "categorical focal": digits(
        loss={"name": "categorical_focal_crossentropy", "alpha": 0.5, "label_smoothing": 0.1},
        metrics=["accuracy", {"name": "f1_score", "average": "weighted"}],
    ),
    "counts": document(
        loss="binary_crossentropy", model=layers({"type": "dense", "units": 1, "activation": "sigmoid"}),
        metrics=[
            "true_positives", "true_negatives", {"name": "false_positives", "thresholds": 0.3}, "false_negatives",
            {"name": "f1_score", "threshold": 0.5, "average": "micro"},
        ],
    ),
    **{
        name: document(model=layers({"type": "dense", "units": 8, "activation": name}, DENSE_2))
        for name in ("celu", "hard_silu", "hard_tanh", "hard_shrink", "soft_shrink", "tanh_shrink", "log_sigmoid",
                     "log_softmax", "squareplus", "sparse_plus", "sparse_sigmoid", "sparsemax")
    },
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
    "two outputs": document(
        model={
            "layers": [
                {"type": "dense", "units": 8, "name": "common", "kernel_regularizer": {"l2": 0.01}},
                {"type": "dropout", "rate": 0.2, "name": "dropped"},
                {"type": "dense", "units": 1, "activation": "sigmoid", "name": "early"},
                {"type": "dense", "units": 2, "activation": "softmax", "name": "late", "inputs": ["dropped"]},
            ],
            "outputs": ["late", "early"],
        },
        loss={"early": "binary_crossentropy", "late": {"name": "categorical_crossentropy", "label_smoothing": 0.1}},
        loss_weights={"early": 0.3},
        metrics={"late": ["accuracy", "f1_score"], "early": ["mae", "accuracy"]},
    ),
    "an output within the network": document(
        model={
            "layers": [
                {"type": "dense", "units": 2, "activation": "softmax", "name": "first"},
                {"type": "dense", "units": 2, "activation": "softmax", "name": "second"},
            ],
            "outputs": ["first", "second"],
        },
        loss={"first": "sparse_categorical_crossentropy", "second": "mse"},
        metrics={"first": ["accuracy", "sparse_categorical_crossentropy"]},
    ),
    "curves and other cross-entropies": document(
        metrics=[
            {"name": "fbeta_score", "beta": 2.0}, {"name": "precision_at_recall", "recall": 0.6},
            {"name": "recall_at_precision", "precision": 0.6},
            {"name": "sensitivity_at_specificity", "specificity": 0.6},
            {"name": "specificity_at_sensitivity", "sensitivity": 0.6, "num_thresholds": 100},
            {"name": "binary_crossentropy", "label_smoothing": 0.1}, "categorical_crossentropy",
        ]
    ),
    "correlations": document(loss="mse", metrics=["pearson_correlation", "concordance_correlation"]),
}  # fmt: skip
"""One small experiment for each word of a spec."""

TANH = {"type": "dense", "units": 8, "activation": "tanh"}
DROPOUT = {"type": "dropout", "rate": 0.3}
RATES = {"choice": [0.01, 0.003]}
FIT = {"epochs": 20, "validation_split": 0.3}
DECAY = {"initial_learning_rate": RATES, "decay_steps": {"choice": [50, 100]}}

OPTIMIZERS: dict[str, dict[str, Any]] = {
    "momentum": {"name": "sgd", "momentum": {"choice": [0.9, 0.5]}},
    "betas": {"name": "adam", "beta_1": {"choice": [0.8, 0.9]}, "beta_2": {"choice": [0.99, 0.999]}, "amsgrad": True},
    # 1 - beta_2 in float32 would be off by up to 1e-3, and the history by 9e-5 (measured 2026-11-28).
    "betas near 1": {"name": "adam", "beta_2": {"choice": [0.9999, 0.99999]}},
    "epsilon": {"name": "adam", "epsilon": {"choice": [1e-7, 0.1]}},
    "rho of adadelta": {"name": "adadelta", "rho": {"choice": [0.9, 0.95]}, "learning_rate": 1.0},
    "betas of adamax": {"name": "adamax", "beta_1": {"choice": [0.8, 0.9]}, "beta_2": {"choice": [0.99, 0.999]}},
    "ftrl": {
        "name": "ftrl",
        "learning_rate_power": {"choice": [-0.5, -0.3]},
        "learning_rate": 0.05,
        "initial_accumulator_value": {"choice": [0.1, 0.5]},
        "l1_regularization_strength": {"choice": [0.01, 0.02]},
        "l2_regularization_strength": {"choice": [0.01, 0.02]},
        "beta": {"choice": [0.1, 0.2]},
        "l2_shrinkage_regularization_strength": 0.01,
    },
    "betas of lamb": {"name": "lamb", "beta_1": {"choice": [0.8, 0.9]}, "weight_decay": {"choice": [0.01, 0.1]}},
    "adafactor": {
        "name": "adafactor",
        "beta_2_decay": {"choice": [-0.8, -0.6]},
        "clip_threshold": {"choice": [1.0, 0.5]},
        "epsilon_2": {"choice": [0.001, 0.01]},
        "relative_step": False,
        "learning_rate": 0.01,
    },
    "inverse time": {
        "name": "adam",
        "learning_rate": {"schedule": "inverse_time_decay", "decay_rate": {"choice": [0.5, 1.0]}, **DECAY},
    },
    "polynomial": {
        "name": "adam",
        "learning_rate": {"schedule": "polynomial_decay", "power": {"choice": [1.5, 2.0]}, **DECAY},
    },
    "restarts": {
        "name": "adam",
        "learning_rate": {
            "schedule": "cosine_decay_restarts",
            "initial_learning_rate": RATES,
            "first_decay_steps": 50,
            "t_mul": 1.5,
            "m_mul": {"choice": [0.5, 0.9]},
            "alpha": {"choice": [0.1, 0.2]},
        },
    },
    "weight decay": {"name": "adamw", "weight_decay": {"choice": [0.01, 0.1]}},
    "rho": {"name": "rmsprop", "rho": {"choice": [0.8, 0.9]}, "momentum": {"choice": [0.5, 0.1]}, "centered": True},
    "accumulator": {"name": "adagrad", "initial_accumulator_value": {"choice": [0.1, 0.5]}},
    "clipnorm": {"name": "adam", "clipnorm": {"choice": [0.1, 1.0]}},
    "clipvalue": {"name": "sgd", "clipvalue": {"choice": [0.01, 0.1]}},
    "global clipnorm": {"name": "nadam", "global_clipnorm": {"choice": [0.1, 1.0]}},
    "exponential": {"name": "adam", "learning_rate": {"schedule": "exponential_decay", "decay_rate": 0.5, **DECAY}},
    "staircase": {
        "name": "sgd",
        "learning_rate": {
            "schedule": "exponential_decay",
            "decay_rate": 0.5,
            "staircase": True,
            "initial_learning_rate": RATES,
            "decay_steps": 41,
        },
    },
    "cosine": {"name": "adam", "learning_rate": {"schedule": "cosine_decay", "alpha": {"choice": [0.1, 0.2]}, **DECAY}},
    "warm-up": {
        "name": "adam",
        "learning_rate": {"schedule": "cosine_decay", "warmup_target": 0.02, "warmup_steps": 40, **DECAY},
    },
}
SHAPES: dict[str, dict[str, Any]] = {
    "one trial": document(optimizer="adam", fit=FIT),
    "three seeds": document(optimizer="adam", seeds=[0, 1, 2], fit=FIT),
    "seventeen trials": document(
        optimizer={"name": "sgd", "learning_rate": {"choice": [n / 100 for n in range(1, 18)]}}, fit=FIT | {"epochs": 5}
    ),
    "rates and seeds": document(optimizer={"name": "adam", "learning_rate": RATES}, seeds=[0, 3, 5], fit=FIT),
    "unshuffled": document(optimizer="adam", seeds=[0, 1], fit=FIT | {"shuffle": False}),
    "dropout of several seeds": document(
        model=layers(TANH, DROPOUT, TANH, DROPOUT, DENSE_2), optimizer="adam", seeds=[0, 1, 2], fit=FIT
    ),
    "normalized, last batch of one row": document(
        model=layers(TANH, {"type": "batch_normalization"}, DENSE_2), seeds=[0, 1], fit=FIT | {"batch_size": 311}
    ),
    **{
        f"batches of {size}": document(seeds=[0, 1], fit={"epochs": 4, "validation_split": 0.3, "batch_size": size})
        for size in (1, 7, 89, 622, 623, 624, 5000)
    },
    "one row to validate on": document(seeds=[0, 1], fit=FIT | {"validation_split": 0.001}),
    "nothing to validate on": document(seeds=[0, 1], fit={"epochs": 20}),
    "epochs that differ": document(fit={"epochs": {"choice": [1, 7, 20]}, "validation_split": 0.3}),
    # No accuracy: which of two numbers that are none is the larger is not the same everywhere.
    "divergence beside convergence": document(
        metrics=[],
        dataset={"name": "titanic"}, loss="mse", model=layers({"type": "dense", "units": 2}), fit=FIT,
        optimizer={"name": "sgd", "learning_rate": {"choice": [1e-6, 1000.0, 1e-7]}},
    ),
}  # fmt: skip
MANY_ROWS = document(
    dataset={"name": "mnist-sample", "rows": 3000}, model=layers(TANH, DENSE_10), seeds=[0, 1],
    fit={"epochs": 3, "validation_split": 0.8}, metrics=["accuracy", "auc"],
)  # fmt: skip
STOPPING: dict[str, dict[str, Any]] = {
    "patience": {"early_stopping": {"patience": 1, "monitor": "val_accuracy"}},
    "min_delta": {"early_stopping": {"patience": 2, "min_delta": 0.01}},
    "baseline": {"early_stopping": {"patience": 3, "baseline": 0.4}},
    "start_from_epoch": {"early_stopping": {"patience": 1, "min_delta": 0.05, "start_from_epoch": 6}},
    "restore_best_weights": {
        "early_stopping": {"patience": 3, "monitor": "val_accuracy", "restore_best_weights": True}
    },
    "plateau": {"reduce_lr_on_plateau": {"patience": 1, "min_delta": 0.05, "factor": 0.3}},
    "cooldown": {"reduce_lr_on_plateau": {"patience": 0, "min_delta": 0.1, "cooldown": 2, "min_lr": 0.004}},
    "both": {
        "reduce_lr_on_plateau": {"patience": 1, "min_delta": 0.02},
        "early_stopping": {"patience": 4, "min_delta": 0.01, "restore_best_weights": True},
    },
}


def sweep(changed: dict[str, Any], **optimizer: Any) -> dict[str, Any]:
    """Return an experiment with two learning rates and twenty epochs."""
    given_optimizer = changed["optimizer"]
    named = {"name": given_optimizer} if isinstance(given_optimizer, str) else given_optimizer
    rate = named.get("learning_rate", RATES)
    rate = rate if isinstance(rate, dict) else RATES
    if named["name"] == "lion":  # its sign turns the smallest rounding of a gradient near 0 into a whole step
        rate = {"choice": [0.001, 0.0003]}
        changed = changed | {"model": layers(TANH, DENSE_2)}
    fit = {**changed["fit"], "epochs": 20} | ({} if "validation" in changed["dataset"] else FIT)
    return changed | {"optimizer": named | {"learning_rate": rate} | optimizer, "fit": fit}


def _cut(changed: dict[str, Any]) -> dict[str, Any]:
    """Return the experiment with 300 rows of Titanic, as steps of `fit` take most time, unless batch size matters."""
    if changed["dataset"]["name"] != "titanic" or "batch_size" in changed["fit"]:
        return changed
    return changed | {"dataset": changed["dataset"] | {"rows": 300}}


CASES: dict[str, dict[str, Any]] = {
    **{f"kind: {name}": _cut(sweep(changed)) for name, changed in KINDS.items()},
    **{
        f"optimizer: {name}": _cut(
            sweep(document(optimizer=optimizer, sampler={"name": "random", "trials": 3, "seed": 1}))
        )
        for name, optimizer in OPTIMIZERS.items()
    },
    **{f"shape: {name}": _cut(changed) for name, changed in SHAPES.items()},
    "shape: many rows to validate on": MANY_ROWS,
    **{
        f"rule: {name}": _cut(
            document(optimizer={"name": "adam", "learning_rate": {"choice": [0.1, 0.01, 0.001]}}, fit=FIT, **rules)
        )
        for name, rules in STOPPING.items()
    },
}
"""Every experiment on which the fused engine is compared with `keras.Model.fit`."""

CODE_PATHS = (
    "kind: residual", "kind: adam", "kind: image", "kind: binary", "kind: piecewise", "kind: regularized",
    "kind: class weights of numbers", "optimizer: rho", "shape: batches of 7", "shape: epochs that differ",
    "rule: both", "kind: two outputs", "kind: an output within the network",
)  # fmt: skip
"""Cases that together reach every branch of the engine: each change is tested on these with XLA and on JAX."""
QUICK = (
    "kind: residual", "kind: image", "kind: binary", "kind: piecewise", "kind: regularized", "optimizer: rho",
    "kind: class weights of numbers", "shape: epochs that differ", *(f"rule: {name}" for name in STOPPING),
    "kind: two outputs", "kind: top_k", "kind: lion", "kind: a validation dataset", "shape: unshuffled",
    "shape: normalized, last batch of one row", "shape: divergence beside convergence",
)  # fmt: skip
"""Cases of `make test`; `make check` has all of them."""
NIGHTLY = (
    "optimizer: momentum", "optimizer: epsilon", "optimizer: accumulator", "optimizer: clipnorm",
    "optimizer: clipvalue", "optimizer: exponential", "optimizer: staircase", "kind: exponential", "kind: mse",
    "kind: logits", "kind: clipnorm",
    "kind: clipvalue", "kind: nesterov", "kind: top_k of class numbers", "shape: one trial", "shape: three seeds",
    "shape: batches of 1", "shape: batches of 89", "shape: batches of 622", "shape: batches of 624",
    "shape: batches of 5000", "shape: dropout of several seeds", "shape: many rows to validate on",
)  # fmt: skip
"""Cases whose branches other cases reach as well."""
