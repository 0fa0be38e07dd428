"""Logs: what clients have sent commands no terminal and forges no line."""

import logging

import pytest
import structlog

from models.logs import configure_logs
from models.settings import Settings


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_logged_text_commands_nothing(settings: Settings, capsys: pytest.CaptureFixture[str], log_format: str) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    try:
        configure_logs(settings.model_copy(update={"log_format": log_format}))
        structlog.get_logger("test").warning("refused", path="/v1/\x1b]0;owned\x07\n2026 forged \u202e")
    finally:
        root.handlers, _ = handlers, root.setLevel(level)
        structlog.reset_defaults()
    [line] = capsys.readouterr().err.splitlines()
    assert "owned" in line
    assert not {"\x1b]", "\x07", "\u202e"} & {part for part in ("\x1b]", "\x07", "\u202e") if part in line}
