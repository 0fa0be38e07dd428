"""Imports of TensorFlow without the lines that it writes at every one."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_NOISE = ("absl::InitializeLog", "oneDNN custom operations")
"""Lines of TensorFlow 2.21, whatever TF_CPP_MIN_LOG_LEVEL says."""


@contextmanager
def without_noise() -> Iterator[None]:
    """Filter what is written to standard error, by C++ too.

    A process does it, so that the last words of a crash are still shown.
    """
    sys.stderr.flush()
    before = os.dup(2)
    reading, writing = os.pipe()
    patterns = [word for noise in _NOISE for word in ("-e", noise)]
    command = ["grep", "--line-buffered", "--invert-match", "--fixed-strings", *patterns]
    try:
        process = subprocess.Popen(command, stdin=reading, stdout=before)  # noqa: S603 - our own words
    except OSError:  # no grep here: noise then
        process = None
    else:
        os.dup2(writing, 2)
    os.close(reading)
    os.close(writing)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(before, 2)
        os.close(before)
        if process is not None:
            with suppress(subprocess.TimeoutExpired):  # something that was started meanwhile may still hold the pipe
                process.wait(1)
