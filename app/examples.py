"""The six exercises of `examples/`, as documents.

The README, the docs page, the demo and the tests all read these same files.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "examples"
IN_ORDER = ("learning_rates", "validation", "early_stopping", "wider_network", "deeper_network", "mnist_digits")


@cache
def example_documents() -> dict[str, dict[str, Any]]:
    """Return the exercises by file name without ending, in the order in which one would do them."""
    return {name: json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8")) for name in IN_ORDER}
