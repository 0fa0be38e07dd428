"""The API as a process of its own, whose event loop is watched: `python -m tests.app.api.watched_server DATA_DIR PORT`.

Each line on its standard input is answered with the longest time, in seconds, for which its loop did nothing since the
line before. Time in which the machine gave the process no processor does not count.
"""

import asyncio
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI

from app import server
from app.main import create_app
from models.settings import Settings
from tests.conftest import migrate

_BEAT_SECONDS = 0.005


class Heart:
    """Beats in an event loop, and notes by how much a beat was late."""

    def __init__(self) -> None:
        self._worst = 0.0
        self._beaten = threading.Semaphore(0)
        self._is_asked = False

    def beat(self, expected: float, processor: float) -> None:
        """Beat, and do it again soon.

        Args:
            expected: when it was to be, on the loop's clock.
            processor: the seconds that the process had computed at the beat before.
        """
        loop = asyncio.get_running_loop()
        late, computed = loop.time() - expected, time.process_time()
        self._worst = max(self._worst, min(late, computed - processor))
        if self._is_asked:
            self._beaten.release()
        loop.call_later(_BEAT_SECONDS, self.beat, loop.time() + _BEAT_SECONDS, computed)

    def answer_questions(self) -> None:
        """Say the worst for each line of the standard input."""
        for _ in sys.stdin:
            # An answer may reach its client before the beat that it has delayed.
            self._is_asked = True
            for _ in range(2):
                self._beaten.acquire()
            self._is_asked = False
            worst, self._worst = self._worst, 0.0
            sys.stdout.write(f"{worst:.6f}\n")
            sys.stdout.flush()


def main(data_dir: str, port: str) -> None:
    """Serve until a signal ends it."""
    heart = Heart()

    def create_watched(settings: Settings) -> FastAPI:
        application = create_app(settings)
        inner = application.router.lifespan_context

        @asynccontextmanager
        async def lifespan(app: FastAPI) -> AsyncIterator[None]:
            async with inner(app):  # type: ignore[attr-defined]
                heart.beat(asyncio.get_running_loop().time(), time.process_time())
                yield

        application.router.lifespan_context = lifespan
        return application

    server.create_app = create_watched
    settings = Settings(data_dir=Path(data_dir))
    settings.make_folders()
    migrate(settings.database_location)
    threading.Thread(target=heart.answer_questions, daemon=True).start()
    server.run_server(settings, "127.0.0.1", int(port))


if __name__ == "__main__":
    main(*sys.argv[1:])
