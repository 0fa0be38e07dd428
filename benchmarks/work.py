"""Networks, data and numbers of trials that the benchmarks measure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fittingroom.specs.datasets import BUILT_IN_DATASETS
from fittingroom.specs.experiment import ExperimentSpec, TrialSpec
from fittingroom.specs.validation.shapes import targets_of
from models.planning.plan import plan_experiment
from workers.datasets import prepare
from workers.engines.base import Arrays, Cohort, CohortTrial

EPOCHS = 20
WARM_EPOCHS = 80
"""Epochs measured with a cached program: five calls of the maximum number of epochs."""


@dataclass(frozen=True)
class Work:
    """One row of the table, but for the number of trials."""

    name: str
    dataset: dict[str, Any]
    layers: Sequence[dict[str, Any]]
    optimizer: str
    trials: Sequence[int]
    hidden: Sequence[int] | None = None
    """Units of the hidden layers where the network is dense and nothing else: what other tools can be given as well."""

    def document(self, trials: int, epochs: int = EPOCHS, initializer: str = "glorot_uniform") -> dict[str, Any]:
        """Return the experiment: a sweep of learning rates. Another initializer is another program of the same work."""
        layers = [
            layer | {"kernel_initializer": initializer} if layer["type"] in ("dense", "conv2d") else layer
            for layer in self.layers
        ]
        return {
            "name": f"{self.name}, {trials} trials",
            "dataset": self.dataset,
            "model": {"layers": layers},
            "optimizer": {"name": self.optimizer, "learning_rate": {"choice": _rates(trials)}},
            "loss": "categorical_crossentropy",
            "metrics": ["accuracy"],
            "fit": {"epochs": epochs, "batch_size": 32, "validation_split": 0.3},
        }

    def specs(self, trials: int, epochs: int = EPOCHS) -> list[TrialSpec]:
        """Return the trials, more of them too than the service takes."""
        [one] = plan_experiment(ExperimentSpec.model_validate(self.document(1, epochs))).trials
        return [
            one.spec.model_copy(update={"optimizer": one.spec.optimizer.model_copy(update={"learning_rate": rate})})
            for rate in _rates(trials)
        ]

    def arrays(self) -> Arrays:
        """Training arrays."""
        return arrays_of(self.document(1))

    def cohort(self, trials: int, epochs: int = EPOCHS, arrays: Arrays | None = None) -> Cohort:
        """Return the trials with their arrays."""
        specs = self.specs(trials, epochs)
        return Cohort([CohortTrial(f"t{n}", spec) for n, spec in enumerate(specs)], arrays or self.arrays())


def arrays_of(document: Mapping[str, Any]) -> Arrays:
    """Return the training arrays of an experiment on a built-in dataset."""
    spec = plan_experiment(ExperimentSpec.model_validate(document)).trials[0].spec
    features = BUILT_IN_DATASETS[spec.dataset.name].features
    return prepare(spec.dataset, spec.fit, targets_of(spec, features), fold=spec.fold)[0]


def _rates(trials: int) -> list[float]:
    return [float(rate) for rate in np.geomspace(1e-4, 1e-2, trials)]


def _dense(*units: int) -> list[dict[str, Any]]:
    return [{"type": "dense", "units": n, "activation": "relu"} for n in units]


def _softmax(classes: int) -> dict[str, Any]:
    return {"type": "dense", "units": classes, "activation": "softmax"}


_TITANIC = {"name": "titanic", "standardize": True}
_DIGITS = {"name": "mnist-sample", "rows": 2500}
_CNN = [
    {"type": "reshape", "target_shape": [28, 28, 1]},
    {"type": "conv2d", "filters": 8, "kernel_size": 3, "activation": "relu"},
    {"type": "max_pooling2d"},
    {"type": "conv2d", "filters": 16, "kernel_size": 3, "activation": "relu"},
    {"type": "max_pooling2d"},
    {"type": "flatten"},
]
_FEW_DIGITS = {"name": "mnist-sample", "rows": 500}
_LSTM = [{"type": "reshape", "target_shape": [98, 8]}, {"type": "lstm", "units": 32}]
_TRANSFORMER = [
    {"type": "reshape", "target_shape": [28, 28]},
    {"type": "dense", "units": 16, "name": "steps"},
    {"type": "multi_head_attention", "num_heads": 2, "key_dim": 8, "inputs": ["steps", "steps"], "name": "attended"},
    {"type": "add", "inputs": ["steps", "attended"]},
    {"type": "layer_normalization", "name": "first"},
    {"type": "dense", "units": 32, "activation": "relu"},
    {"type": "dense", "units": 16, "name": "second"},
    {"type": "add", "inputs": ["first", "second"]},
    {"type": "layer_normalization"},
    {"type": "global_average_pooling1d"},
]

WORK = [
    Work("Titanic 10-100-100-2", _TITANIC, [*_dense(100, 100), _softmax(2)], "sgd", (1, 3, 16, 64, 256), (100, 100)),
    Work("Titanic 10-10-10-2", _TITANIC, [*_dense(10, 10), _softmax(2)], "sgd", (1, 3, 16, 64, 256), (10, 10)),
    Work("digits 784-50-50-10", _DIGITS, [*_dense(50, 50), _softmax(10)], "adam", (1, 3, 8), (50, 50)),
    Work("dropout 784-50-10", _DIGITS, [*_dense(50), {"type": "dropout", "rate": 0.3}, _softmax(10)], "adam", (1, 3)),
    Work("batch norm 10-50-2", _TITANIC, [*_dense(50), {"type": "batch_normalization"}, _softmax(2)], "adam", (1, 3)),
    Work("small CNN", _DIGITS, [*_CNN, _softmax(10)], "adam", (1, 3, 16)),
    Work("LSTM of 98 steps", _FEW_DIGITS, [*_LSTM, _softmax(10)], "adam", (1, 3, 16)),
    Work("small transformer", _FEW_DIGITS, [*_TRANSFORMER, _softmax(10)], "adam", (1, 3, 16)),
    Work("784-1024-1024-10", _DIGITS, [*_dense(1024, 1024), _softmax(10)], "adam", (1, 3), (1024, 1024)),
]

LARGE = {"small CNN", "LSTM of 98 steps", "small transformer", "784-1024-1024-10"}
"""Workloads of which only a few epochs are measured."""
