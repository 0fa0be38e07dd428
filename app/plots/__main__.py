"""Draws pictures, each as it is asked for on standard input; see `answer_questions`."""

import base64
import resource
from typing import Any

from app.plots.drawing import draw
from app.plots.pictures import read_picture
from models.child_processes import answer_questions

IDLE_SECONDS = 600.0
MEMORY_BYTES = 2 * 1024**3
"""Limit on the addresses of a process that draws."""


def _answer(question: dict[str, Any], body: bytes) -> dict[str, Any]:
    del question  # the body says it all
    return {"picture": base64.b64encode(draw(read_picture(body))).decode()}


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    answer_questions(_answer, IDLE_SECONDS)
