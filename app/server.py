"""The API as a process: uvicorn, with its limits, and an end that makes nobody wait.

May import: uvicorn, the application. Knows no route.
"""

from types import FrameType

import uvicorn

from app.main import create_app
from app.versions import Versions
from models.settings import Settings

GRACE_SECONDS = 5


class _Server(uvicorn.Server):
    """Lets those who wait for a change go as soon as it is told to end."""

    versions: Versions

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal has come."""
        self.versions.release()
        super().handle_exit(sig, frame)


def run_server(settings: Settings, host: str, port: int) -> None:
    """Serve until a signal ends it."""
    application = create_app(settings)
    server = _Server(
        uvicorn.Config(
            application, host=host, port=port, log_config=None, access_log=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )  # fmt: skip
    server.versions = application.state.versions
    server.run()
