"""JAX backend: doubles from two float32, and a worker without TensorFlow."""

import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.engines.backends.jax import TrialNumber, doubles, is_out_of_memory

pytestmark = pytest.mark.backends

FORMULAS: dict[str, Callable[..., Any]] = {
    "1 - x": lambda x: 1 - x,
    "-x": lambda x: -x,
    "x - 1": lambda x: x - 1,
    "3.7 x": lambda x: 3.7 * x,
    "x + 0.1": lambda x: x + 0.1,
    "1 / x": lambda x: 1 / x,
    "(1 - x) 0.3 + 2": lambda x: (1 - x) * 0.3 + 2,
}


@cache
def compiled(name: str) -> Callable[..., Any]:
    return jax.jit(jax.vmap(lambda value: jnp.asarray(FORMULAS[name](TrialNumber(value)))))


@pytest.mark.parametrize("name", FORMULAS)
@given(numbers=st.lists(st.floats(1e-7, 1 - 1e-7), min_size=4, max_size=4))
def test_trial_number_rounds_like_a_double(name: str, numbers: list[float]) -> None:
    values = np.array(numbers)
    found, expected = np.asarray(compiled(name)(doubles(values))), FORMULAS[name](values).astype(np.float32)
    np.testing.assert_array_max_ulp(found, expected, maxulp=1)


def test_a_float32_alone_would_be_wrong() -> None:
    """The reason for all this: Adam's `1 - beta_2` for 0.999."""
    alone = np.float32(1) - np.float32(0.999)
    [found] = compiled("1 - x")(doubles(np.array([0.999])))
    assert abs(float(alone) / 0.001 - 1) > 1e-5
    assert float(found) == float(np.float32(1 - 0.999))


def test_memory_that_is_gone_is_known_from_other_faults() -> None:
    assert is_out_of_memory(jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 8 bytes"))
    assert not is_out_of_memory(jax.errors.JaxRuntimeError("INTERNAL: something else"))
    assert not is_out_of_memory(ValueError("RESOURCE_EXHAUSTED"))


WITHOUT_TENSORFLOW = """
import sys
sys.modules["tensorflow"] = None  # whoever imports it now is told that there is none
from models.sql.database import Database
from models.settings import Settings
from tests.factories import digits, store
from workers.runner import Runner
from models.sql import experiments

settings = Settings()
settings.make_folders()
database = Database(settings.database_location)
database.migrate()
for engine in ("fused", "reference"):
    experiment_id, [message] = store(database, seeds=[0, 1])
    runner = Runner(settings, database, "wrk_test", ["cpu:0"])
    runner.engines = dict.fromkeys(runner.engines, runner.engines[engine])
    assert runner.train_cohort(message.cohort_id)
    with database.reading() as session:
        trials = experiments.list_trials(session, experiment_id)
        assert {trial.state for trial in trials} == {"completed"}, engine
        for trial in trials:
            print(trial.state, trial.environment["backend"], "jax" in trial.environment)
"""


def test_a_worker_trains_where_there_is_no_tensorflow(tmp_path: Path) -> None:
    script = subprocess.run(
        [sys.executable, "-c", WITHOUT_TENSORFLOW],
        env={"FITTINGROOM_DATA_DIR": str(tmp_path), "KERAS_BACKEND": "jax", "PATH": "", "HOME": str(tmp_path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert script.returncode == 0, script.stderr
    assert script.stdout.splitlines()[-2:] == ["completed jax True"] * 2
