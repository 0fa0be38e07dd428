"""Structured logs, the same for both processes.

URLs are logged without their passwords, bodies not at all.
"""

import logging
import sys

import structlog

from fittingroom.specs.visible_text import visible
from models.settings import Settings


def configure_logs(settings: Settings) -> None:
    """Send structlog's lines and those of the standard library to standard error, in one format."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer()
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _make_visible,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level.upper())
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells of its plugins
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def _make_visible(_: object, __: str, line: structlog.types.EventDict) -> structlog.types.EventDict:
    """Write out what in a line's texts, some of which clients have sent, would command a terminal."""
    whole = {"event", "exception"}  # of ours, and in lines
    return {
        name: (visible(value) if name in whole else visible(value).replace("\n", "\\n"))
        if isinstance(value, str) else value
        for name, value in line.items()
    }  # fmt: skip
