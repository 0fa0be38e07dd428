"""The process that knows Keras on behalf of the API."""

import os
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from models.child_processes import AnsweringProcess, NoAnswerError
from models.errors import PredictorUnavailableError

ANSWER_SECONDS = 60.0
"""Timeout of a prediction, in seconds; the first one also loads Keras."""


class PredictorProcess:
    """Asks the process; one question at a time."""

    def __init__(self) -> None:
        # GPUs are for workers.
        environment = {"CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"}
        self._process = AnsweringProcess("workers.predictor", ANSWER_SECONDS, environment)

    def ask(self, question: Mapping[str, Any], body: bytes = b"") -> dict[str, Any]:
        """Ask; blocks.

        Args:
            question: a line of JSON.
            body: what follows it as it is.

        Raises:
            PredictorUnavailableError: no answer came. Asking again starts the process anew.
        """
        backend = os.environ.get("KERAS_BACKEND", "tensorflow")
        if find_spec("keras") is None or find_spec(backend) is None:
            raise PredictorUnavailableError(
                f"predictions need Keras and {backend}, which this installation of the API lacks; "
                "pip install -e '.[api,worker]', or '.[api,worker-jax]' with FITTINGROOM_KERAS_BACKEND=jax"
            )
        try:
            found = self._process.ask(question, body)
        except NoAnswerError as error:
            raise PredictorUnavailableError(f"the process that predicts failed: {error}; try again soon") from None
        if "error" in found:
            raise PredictorUnavailableError(f"the process that predicts failed: {found['error']}")
        return found

    def close(self) -> None:
        """End the process, whatever it is asked."""
        self._process.close()
