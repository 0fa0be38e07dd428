"""An API that is killed between the commit of a submit and its message: `python -m tests.faults.api PORT`."""

import os
import signal
import sys

import uvicorn

from app import service


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


service.ring = die
uvicorn.run("app.main:create_app", factory=True, port=int(sys.argv[1]), log_config=None)
