"""Supervision: links of a process to its supervisor and to its predecessor."""

import os
import signal
import threading
from typing import NamedTuple

SUPERVISED = "FITTINGROOM_SUPERVISED"
"""Set in the environment of a process whose standard input is a pipe that its parent holds open."""


INSTANCE = "FITTINGROOM_INSTANCE"
"""Set in the environment of a process that is supervised: what it is known by, whatever program it becomes.

A process's id will not do: in containers many have the same, and the name of the host may be, too."""
PREDECESSOR = "FITTINGROOM_PREDECESSOR"
"""Set in the environment of a process that is started in the place of one that died: its instance and its exit code."""

_HINTS = {
    signal.SIGKILL: "as happens when memory runs out",
    signal.SIGSEGV: "a crash in native code",
    signal.SIGABRT: "a crash in native code",
}


class Predecessor(NamedTuple):
    """A process that died."""

    instance: str
    how: str
    """Cause of its end, in words that complete "the worker …"."""


def take_predecessor() -> Predecessor | None:
    """Return the process that this one replaces, if any, and clear it from the environment."""
    instance, _, code = os.environ.pop(PREDECESSOR, "").partition(":")
    return Predecessor(instance, _in_words(int(code))) if instance else None


def predecessor(instance: str, exit_code: int) -> dict[str, str]:
    """Return environment variables for the successor."""
    return {PREDECESSOR: f"{instance}:{exit_code}"}


def this_instance() -> str | None:
    """Return this process's identifier for its supervisor, or None if it is not supervised."""
    return os.environ.get(INSTANCE)


def _in_words(exit_code: int) -> str:
    if exit_code >= 0:
        return f"ended with exit code {exit_code}"
    number = signal.Signals(-exit_code)
    hint = _HINTS.get(number)
    return f"was killed by {number.name}" + (f", {hint}" if hint else "")


def end_with_parent() -> None:
    """End this process by SIGTERM as soon as its supervisor is gone, if it has one."""
    if os.environ.get(SUPERVISED) == "1":
        threading.Thread(target=_wait_for_parent, name="end-with-parent", daemon=True).start()


def _wait_for_parent() -> None:
    """End this process when its parent's end of the pipe is closed, as at the parent's death."""
    # Not sys.stdin: its lock, held here, would trouble the interpreter at its end.
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
