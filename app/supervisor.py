"""Starts the API and its workers as child processes, starts again what dies, and ends them all together."""

import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType

import structlog

from models.child_processes import module_command, own_code_first
from models.supervision import INSTANCE, SUPERVISED, predecessor

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
STEADY_SECONDS = 60.0
"""Uptime, in seconds, after which a child's restart backoff is reset."""
GRACE_SECONDS = 30.0
"""Grace period of a child process, in seconds, before SIGKILL."""

_log = structlog.get_logger()


@dataclass
class Child:
    """A process that is kept alive."""

    name: str
    arguments: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    pause: float = FIRST_PAUSE_SECONDS
    start_at: float = 0.0
    instance: str = ""
    """Identifier of its process."""
    died: dict[str, str] = field(default_factory=dict)
    """Environment variables that describe the previous process to the next one."""


class Supervisor:
    """Supervisor: restarts its children until it is stopped."""

    def __init__(self, children: Mapping[str, Sequence[str]], sockets: Sequence[socket.socket] = ()) -> None:
        """Args: children: by name, a module and its arguments; sockets: inherited by each of them."""
        self._children = [Child(name, arguments) for name, arguments in children.items()]
        self._sockets = sockets
        self._stopping = False

    def run(self) -> None:
        """Run until SIGINT or SIGTERM, then end every child and wait for it."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)
        try:
            while not self._stopping:
                for child in self._children:
                    self._look_after(child)
                time.sleep(0.1)
        finally:
            self._end_all()

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _look_after(self, child: Child) -> None:
        now = time.monotonic()
        if child.process is None:
            if now >= child.start_at:
                self._start(child)
            return
        code = child.process.poll()
        if code is None:
            return
        if now - child.started_at >= STEADY_SECONDS:
            child.pause = FIRST_PAUSE_SECONDS
        _log.warning("process_died", name=child.name, exit_code=code, starts_again_in_seconds=child.pause)
        child.died = predecessor(child.instance, code)
        child.process, child.start_at = None, now + child.pause
        child.pause = min(child.pause * 2, LONGEST_PAUSE_SECONDS)

    def _start(self, child: Child) -> None:
        child.instance = uuid.uuid4().hex
        # A session of its own, so that Ctrl-C reaches this process only; a pipe, so that it ends if this one is killed.
        child.process = subprocess.Popen(  # noqa: S603 - our own modules
            module_command(*child.arguments),
            stdin=subprocess.PIPE,
            start_new_session=True,
            pass_fds=[one.fileno() for one in self._sockets],
            env=own_code_first() | {SUPERVISED: "1", INSTANCE: child.instance} | child.died,
        )
        child.started_at = time.monotonic()

    def _end_all(self) -> None:
        for one in self._sockets:  # its children's copies close as they end: who comes now is refused at once
            one.close()
        alive = [
            child.process for child in self._children if child.process is not None and child.process.poll() is None
        ]
        for process in alive:
            process.terminate()
        deadline = time.monotonic() + GRACE_SECONDS
        for process in alive:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _log.warning("process_killed", pid=process.pid)
                process.kill()
                process.wait()
