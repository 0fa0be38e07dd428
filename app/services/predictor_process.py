"""The process that knows Keras on behalf of the API: started with the first question, warm from then on."""

import json
import os
import subprocess
import threading
from importlib.util import find_spec
from typing import Any

from models.child_processes import module_command, own_code_first
from models.errors import PredictorUnavailableError

ANSWER_SECONDS = 60.0
"""For how long an answer is waited for; the first takes some seconds, as Keras is loaded."""


class PredictorProcess:
    """Asks the process; one question at a time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def ask(self, question: dict[str, Any], body: bytes = b"") -> dict[str, Any]:
        """Ask; blocks.

        Args:
            question: a line of JSON.
            body: what follows it as it is.

        Raises:
            PredictorUnavailableError: no answer came. Asking again starts it anew.
        """
        line = json.dumps(question | {"body_bytes": len(body)}).encode() + b"\n"
        with self._lock:
            if self._process is not None and self._process.poll() is not None:  # of idleness, for instance
                self._end()
            answer = self._exchange(line + body)
        if not answer:
            raise PredictorUnavailableError("the process that predicts gave no answer; try again soon")
        found: dict[str, Any] = json.loads(answer)
        if "error" in found:
            raise PredictorUnavailableError(f"the process that predicts failed: {found['error']}")
        return found

    def close(self) -> None:
        """End it, whatever it is asked."""
        process = self._process
        if process is not None:
            process.kill()
        with self._lock:
            self._end()

    def _exchange(self, question: bytes) -> bytes:
        """One question, one answer; empty if the process ended, or was ended for its silence."""
        process = self._process or self._start()
        assert process.stdin is not None  # noqa: S101 - for mypy
        assert process.stdout is not None  # noqa: S101 - for mypy
        timer = threading.Timer(ANSWER_SECONDS, process.kill)
        timer.start()
        try:
            process.stdin.write(question)
            process.stdin.flush()
            answer: bytes = process.stdout.readline()
        except OSError:
            answer = b""
        finally:
            timer.cancel()
            timer.join()
        if not answer.endswith(b"\n"):
            self._end()
            return b""
        return answer

    def _start(self) -> subprocess.Popen[bytes]:
        backend = os.environ.get("KERAS_BACKEND", "tensorflow")
        if find_spec("keras") is None or find_spec(backend) is None:
            raise PredictorUnavailableError(
                f"predictions need Keras and {backend}, which this installation of the API lacks; "
                "pip install -e '.[api,worker]', or '.[api,worker-jax]' with FITTINGROOM_KERAS_BACKEND=jax"
            )
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            module_command("workers.predictor"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=own_code_first() | {"CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"},  # GPUs are for workers
        )
        return self._process

    def _end(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait()
        self._process = None
