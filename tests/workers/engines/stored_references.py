"""Histories of `keras.Model.fit`, computed once per backend and kept as data.

`fit` takes ten times as long as what is compared with it.
`python -m tests.workers.engines.stored_references` writes the
file of this process's backend anew (KERAS_BACKEND); the nightly run computes every history and compares.
"""

import hashlib
import json
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.conftest import BACKEND
from tests.workers.engines.cases import CASES
from tests.workers.engines.trials import Recording, cohort_of, trained, trial_specs
from workers.engines.base import Cohort
from workers.engines.fused.engine import FusedEngine
from workers.engines.reference import ReferenceEngine

FILE = Path(__file__).parent / "references" / f"{BACKEND}.json"
HOW_TO_RENEW = f"run: KERAS_BACKEND={BACKEND} python -m tests.workers.engines.stored_references"
_SAMPLES = 16


def libraries() -> dict[str, str]:
    """Return the versions of what computes a history."""
    return {"keras": keras.__version__, BACKEND: import_module(BACKEND).__version__}


def stored_libraries() -> dict[str, str]:
    """Return the versions that computed the kept histories."""
    versions: dict[str, str] = _stored()["versions"]
    return versions


def chosen_trials(cohort: Cohort) -> Cohort:
    """Return at most three trials of a cohort, the first and the last among them."""
    places = sorted({0, len(cohort.trials) // 2, len(cohort.trials) - 1})
    return Cohort([cohort.trials[place] for place in places], cohort.arrays)


def digest(name: str) -> str:
    """Return a short text that changes with the experiment of a case."""
    return hashlib.sha256(json.dumps(CASES[name], sort_keys=True).encode()).hexdigest()[:12]


def fingerprint(array: NDArray[Any]) -> dict[str, Any]:
    """Return shape, dtype, norm and evenly spaced values of an array of weights."""
    places = np.linspace(0, array.size - 1, min(array.size, _SAMPLES)).astype(int)
    values = [float(f"{value:.9g}") for value in array.ravel()[places]]
    return {
        "shape": list(array.shape), "dtype": str(array.dtype), "norm": float(f"{np.linalg.norm(array):.9g}"),
        "values": values,
    }  # fmt: skip


def compute(name: str) -> dict[str, Any]:
    """Train a case with `keras.Model.fit`: by trial its history, why it ended, and its weights in short."""
    found = trained(ReferenceEngine(), chosen_trials(cohort_of(trial_specs(CASES[name]))))
    return {
        trial_id: {
            "reason": found.reasons[trial_id],
            "history": {
                metric: [float(f"{epoch[metric]:.9g}") for epoch in history]
                for metric in (history[0] if history else {})
            },
            "weights": [fingerprint(array) for array in found.weights[trial_id]],
        }
        for trial_id, history in found.histories.items()
        if trial_id in found.reasons
    }


@cache
def _stored() -> dict[str, Any]:
    stored: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return stored


def reference(name: str) -> dict[str, Any]:
    """Return the kept result of a case; with other versions of the libraries, compute it.

    Raises:
        AssertionError: it is of another experiment.
    """
    if stored_libraries() != libraries():
        return compute(name)
    case: dict[str, Any] = _stored()["cases"].get(name, {})
    assert case.get("digest") == digest(name), HOW_TO_RENEW
    trials: dict[str, Any] = case["trials"]
    return trials


AUC_STEPS = {"shape: many rows to validate on": 2.5e-5}
"""Tolerance: one of 24,000 predictions per epoch may be rounded across a threshold, which moved AUC by 1.8e-5."""


def assert_agrees_with_stored(name: str, found: Recording, expected: dict[str, Any]) -> None:
    for trial_id, trial in expected.items():
        assert found.reasons[trial_id] == trial["reason"]
        history = found.histories[trial_id]
        assert {metric: len(values) for metric, values in trial["history"].items()} == {
            metric: len(history) for metric in history[0]
        }
        for metric, values in trial["history"].items():
            least = max(1e-7, AUC_STEPS.get(name, 0.0) if metric.endswith("auc") else 0.0)
            ours = [epoch[metric] for epoch in history]
            assert ours == pytest.approx(values, rel=1e-5, abs=least, nan_ok=True), metric
        assert_same_weights([fingerprint(array) for array in found.weights[trial_id]], trial["weights"])


def assert_same_weights(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours["shape"], ours["dtype"]) == (theirs["shape"], theirs["dtype"])
        np.testing.assert_allclose(ours["values"], theirs["values"], rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(ours["norm"], theirs["norm"], rtol=1e-3, atol=1e-4)


def train_and_compare(engine: FusedEngine, name: str) -> Recording:
    found = trained(engine, cohort_of(trial_specs(CASES[name])))
    assert_agrees_with_stored(name, found, reference(name))
    return found


def main() -> None:
    """Compute every case that is new or has changed, all with other libraries, and write the file."""
    kept = _stored()["cases"] if stored_libraries() == libraries() else {}
    cases = {
        name: kept[name]
        if kept.get(name, {}).get("digest") == digest(name)
        else {"digest": digest(name), "trials": compute(name)}
        for name in CASES
    }
    lines = [f"{json.dumps(name)}: {json.dumps(case)}" for name, case in cases.items()]
    body = ",\n".join(lines)
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(f'{{"versions": {json.dumps(libraries())}, "cases": {{\n{body}\n}}}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
