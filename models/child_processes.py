"""Child processes that run the service's own modules, and how they are asked.

`python -m` puts the current folder first on the import path, and so does `PYTHONPATH=.`: a folder with a `models` or
`workers` of its own would stand in for ours.
"""

import json
import os
import select
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

_ROOT = str(Path(__file__).parents[1])


def module_command(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module without the current folder on the import path."""
    return [sys.executable, "-P", "-m", module, *arguments]


def own_code_first() -> dict[str, str]:
    """Return this process's environment with the service's own folder first in PYTHONPATH."""
    given = os.environ.get("PYTHONPATH", "")
    paths = [path for path in given.split(os.pathsep) if path not in {"", _ROOT}]
    return os.environ | {"PYTHONPATH": os.pathsep.join([_ROOT, *paths])}


class NoAnswerError(Exception):
    """A child process gave no answer.

    Attributes:
        is_late: True if it was ended at its timeout; False if it ended by itself, or was killed from outside.
    """

    def __init__(self, *, is_late: bool) -> None:
        super().__init__("no answer in time" if is_late else "the process ended before it answered")
        self.is_late = is_late


class AnsweringProcess:
    """A child process that answers one question at a time: started with the first one, warm from then on."""

    def __init__(self, module: str, seconds: float, environment: Mapping[str, str] | None = None) -> None:
        """Start nothing yet.

        Args:
            module: what the process runs; it calls `answer_questions`.
            seconds: how long an answer is waited for.
            environment: further variables of its environment.
        """
        self._module, self._seconds, self._environment = module, seconds, environment or {}
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._is_closed = False

    def start(self) -> None:
        """Start the process if it does not run: it loads what it needs while its question is being prepared."""
        with self._lock:
            self._end_if_gone()
            if self._process is None:
                self._start()

    def ask(self, question: Mapping[str, Any], body: bytes = b"") -> dict[str, Any]:
        """Ask; blocks. A process that ended is started anew, once: something else may have killed it.

        Args:
            question: a line of JSON.
            body: what follows it as it is.

        Returns:
            The answer, with an `error` if there was one.

        Raises:
            NoAnswerError: none came in time, or the process ended, twice. Asking again starts another.
        """
        line = json.dumps({**question, "body_bytes": len(body)}).encode() + b"\n"
        with self._lock:
            self._end_if_gone()
            try:
                answer = self._exchange(line + body)
            except NoAnswerError as error:
                if error.is_late or self._is_closed:
                    raise
                answer = self._exchange(line + body)
        found: dict[str, Any] = json.loads(answer)
        return found

    def close(self) -> None:
        """End the process, whatever it is asked."""
        self._is_closed = True
        process = self._process
        if process is not None:
            process.kill()
        with self._lock:
            self._end()

    def _exchange(self, question: bytes) -> bytes:
        """One question, one answer."""
        process = self._process or self._start()
        assert process.stdin is not None  # noqa: S101 - for mypy
        assert process.stdout is not None  # noqa: S101 - for mypy
        is_late = threading.Event()

        def end() -> None:
            is_late.set()
            process.kill()

        timer = threading.Timer(self._seconds, end)
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
            raise NoAnswerError(is_late=is_late.is_set())
        return answer

    def _start(self) -> subprocess.Popen[bytes]:
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            module_command(self._module),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=own_code_first() | dict(self._environment),
        )
        return self._process

    def _end_if_gone(self) -> None:
        """Forget a process that has ended, of idleness for instance."""
        if self._process is not None and self._process.poll() is not None:
            self._end()

    def _end(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait()
        self._process = None


def answer_questions(answer: Callable[[dict[str, Any], bytes], dict[str, Any]], idle_seconds: float) -> None:
    """Answer, in the child, until the questions end or none has come for a while.

    Args:
        answer: from a question and its body to what is answered.
        idle_seconds: idle timeout, after which the process ends and frees its memory.
    """
    # What libraries print must not come between the answers.
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)
        questions = sys.stdin.buffer
        while select.select([questions], [], [], idle_seconds)[0]:
            line = questions.readline()
            if not line:
                return
            question = json.loads(line)
            body = questions.read(question.pop("body_bytes"))
            try:
                found = answer(question, body)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer to this question only
                found = {"error": f"{type(error).__name__}: {error}"[:500]}
            try:
                answers.write(json.dumps(found).encode() + b"\n")
                answers.flush()
            except BrokenPipeError:  # nobody is there to read it
                os._exit(0)
