"""An API that is killed between the commit of a submit and its message: `python -m tests.faults.api PORT`."""

import os
import signal
import sys

import uvicorn

from app.main import create_app
from app.services import submission_writer


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


submission_writer.publish = die
uvicorn.run(create_app(), port=int(sys.argv[1]), log_config=None)
