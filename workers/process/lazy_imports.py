"""Imports that a worker leaves out: it begins two seconds earlier, and is that much smaller."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from workers.quiet_imports import without_noise

NOT_NEEDED = ("matplotlib", "pandas", "sklearn")
"""Packages that Keras imports if installed, for functions that no worker calls."""
BACKENDS = ("tensorflow", "jax", "torch")
"""Keras seeds each that is there, and loads it for that."""


@contextmanager
def only_what_is_needed(backend: str) -> Iterator[None]:
    """Within, other imports fail as if they were not installed; afterwards they succeed again, but for other backends.

    Args:
        backend: Keras's, the only one that may be loaded.
    """
    others = [name for name in BACKENDS if name != backend]
    blocked = [name for name in (*NOT_NEEDED, *others) if name not in sys.modules]
    sys.modules |= dict.fromkeys(blocked)  # type: ignore[arg-type]  # Python's own way to say that there is none
    gc.disable()  # what imports make stays: looking through it for garbage is a part of the start that one would notice
    try:
        with without_noise():
            yield
    finally:
        gc.enable()
        gc.freeze()
        for name in set(blocked) - set(others):
            del sys.modules[name]
