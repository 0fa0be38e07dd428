"""Which tests are of one of Keras's backends only, and where JAX keeps what the tests have compiled."""

import os
import shutil
import tempfile

OTHERS = {"tensorflow", "jax"} - {os.environ["KERAS_BACKEND"]}
collect_ignore = [f"test_{backend}_backend.py" for backend in OTHERS]
if "tensorflow" in OTHERS:
    # Once is enough.
    collect_ignore += [
        "test_between_backends.py", "test_datasets.py", "test_keras_json.py", "test_keras_spec.py", "test_networks.py"
    ]  # fmt: skip
    # Most of the time goes to compiling, and trials of one network compile the same. JAX reads this at its import.
    COMPILED = tempfile.mkdtemp(prefix="fittingroom-compiled-")
    os.environ |= {"JAX_COMPILATION_CACHE_DIR": COMPILED, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}

    def pytest_unconfigure() -> None:
        shutil.rmtree(COMPILED)
