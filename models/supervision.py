"""How a process that was started by another one ends with it, however that other one ends.

May import: the standard library. Knows nothing of what the process does.
"""

import os
import signal
import threading

SUPERVISED = "FITTINGROOM_SUPERVISED"
"""Set in the environment of a process whose standard input is a pipe that its parent holds open."""


def end_with_parent() -> None:
    """If this process is supervised, ask it to end politely as soon as its parent is gone."""
    if os.environ.get(SUPERVISED) == "1":
        threading.Thread(target=_wait_for_parent, name="end-with-parent", daemon=True).start()


def _wait_for_parent() -> None:
    """The pipe reads as ended when the last process that could write to it has died."""
    # Not sys.stdin: its lock, held here, would trouble the interpreter at its end.
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
