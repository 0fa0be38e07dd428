"""Imports of TensorFlow without the noise that it writes to standard error."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_NOISE = ("absl::InitializeLog", "oneDNN custom operations")
"""Lines of TensorFlow 2.21, whatever TF_CPP_MIN_LOG_LEVEL says."""
_FILTER = ["grep", "-a", "-v", "-F", *(word for noise in _NOISE for word in ("-e", noise))]


@contextmanager
def without_noise() -> Iterator[None]:
    """Filter what this process writes to standard error, by C++ too. Not for two threads at once.

    A child process filters, so that the last words of a crash are still shown. Without one that works nothing is
    filtered.
    """
    if not _can_filter():
        yield
        return
    _flush()
    before = os.dup(2)
    # A session of its own, so that Ctrl-C does not end the filter before this process.
    process = subprocess.Popen(_FILTER, stdin=subprocess.PIPE, stdout=before, start_new_session=True)  # noqa: S603
    assert process.stdin is not None  # noqa: S101 - for mypy
    os.dup2(process.stdin.fileno(), 2)
    process.stdin.close()
    try:
        yield
    finally:
        _flush()
        os.dup2(before, 2)
        os.close(before)
        with suppress(subprocess.TimeoutExpired):  # something that was started meanwhile may still hold the pipe
            process.wait(1)


def _can_filter() -> bool:
    """Return True if there is a grep that knows these options: it finds no line in nothing, which is exit code 1."""
    with suppress(OSError):
        tried = subprocess.run(_FILTER, stdin=subprocess.DEVNULL, capture_output=True, check=False)  # noqa: S603
        return tried.returncode == 1
    return False


def _flush() -> None:
    with suppress(OSError):
        sys.stderr.flush()
