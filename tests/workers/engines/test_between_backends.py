"""The backends agree with each other, where they start from the same weights."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.factories import DENSE_2, digits, document, layers
from tests.workers.engines.cases import KINDS

TANH = {"type": "dense", "units": 8, "activation": "tanh"}
FIT = {"epochs": 20, "validation_split": 0.3}
RATES = {"choice": [0.01, 0.003]}
IMAGE = [
    {"type": "reshape", "target_shape": [28, 28, 1]},
    {"type": "conv2d", "filters": 2, "kernel_size": 3, "activation": "tanh"},
    {"type": "max_pooling2d"},
    {"type": "flatten"},
]
DOCUMENTS: dict[str, dict[str, Any]] = {
    **{
        name: document(model=layers(TANH, TANH, DENSE_2), optimizer={"name": name, "learning_rate": RATES}, fit=FIT)
        for name in ("sgd", "adam", "adamw", "rmsprop", "adagrad", "nadam")
    },
    **{
        name: KINDS[name] | {"optimizer": {"name": "adam", "learning_rate": RATES}, "fit": KINDS[name]["fit"] | FIT}
        for name in ("sparse", "binary", "logits", "class weights", "one number", "huber", "regularized")
    },
    "batch normalization": document(
        model=layers(TANH, {"type": "batch_normalization"}, DENSE_2), optimizer="adam", seeds=[0, 1], fit=FIT
    ),
    "convolution": digits(*IMAGE, optimizer={"name": "adam", "learning_rate": 0.001}, fit=FIT),
    "digits": digits({"type": "dense", "units": 20, "activation": "tanh"}, optimizer="adam", fit=FIT),
    "schedule": document(
        model=layers(TANH, DENSE_2), fit=FIT,
        optimizer={"name": "adam", "learning_rate": {"schedule": "cosine_decay", "initial_learning_rate": RATES,
                                                     "decay_steps": 100}},
    ),
    "plateau": document(
        model=layers(TANH, DENSE_2), optimizer={"name": "adam", "learning_rate": RATES}, fit=FIT,
        reduce_lr_on_plateau={"patience": 1, "min_delta": 0.02},
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def histories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Histories of every document by backend, both from TensorFlow's initial weights."""
    folder = tmp_path_factory.mktemp("between")
    (folder / "documents.json").write_text(json.dumps(DOCUMENTS))
    found = {}
    for backend in ("tensorflow", "jax"):
        answer = folder / f"{backend}.json"
        command = [sys.executable, "-m", "tests.workers.engines.trained_elsewhere", str(folder), str(answer)]
        ended = subprocess.run(
            command, env=os.environ | {"KERAS_BACKEND": backend}, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stderr
        found[backend] = json.loads(answer.read_text())
    return found


@pytest.mark.nightly
def test_twenty_epochs_from_the_same_weights(histories: dict[str, Any], subtests: pytest.Subtests) -> None:
    """One test, so that a single process makes the histories."""
    for name in DOCUMENTS:
        of_tensorflow, of_jax = histories["tensorflow"][name], histories["jax"][name]
        with subtests.test(name):
            assert of_tensorflow.keys() == of_jax.keys()
            for trial_id, history in of_tensorflow.items():
                assert len(history) == 20
                for epoch, (ours, theirs) in enumerate(zip(of_jax[trial_id], history, strict=True), 1):
                    assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-6), (trial_id, epoch)
