"""Imports that a worker leaves out: it begins two seconds earlier, and is that much smaller."""

import gc
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from typing import NoReturn

from workers.quiet_imports import without_noise

NOT_NEEDED = ("matplotlib", "pandas", "sklearn")
"""Packages that Keras imports if installed, for functions that no worker calls."""
BACKENDS = ("tensorflow", "jax", "torch")
"""Keras seeds each that is there, and loads it for that."""


class _Absent(MetaPathFinder, Loader):
    """Has imports of some packages fail as if they were not installed.

    It leaves no trace in `sys.modules`: there Keras looks for TensorFlow, whatever its backend.
    """

    def __init__(self, names: Collection[str]) -> None:
        self.names = frozenset(names)

    def find_spec(self, fullname: str, path: object, target: object = None) -> ModuleSpec | None:
        """Python's own way to look for a module."""
        del path, target
        return ModuleSpec(fullname, self) if fullname in self.names else None

    def create_module(self, spec: ModuleSpec) -> NoReturn:
        """Python's own way to make a module."""
        raise ModuleNotFoundError(f"{spec.name} is left out", name=spec.name)


@contextmanager
def only_what_is_needed(backend: str) -> Iterator[None]:
    """Within, other imports fail as if they were not installed; afterwards they succeed again, but for other backends.

    Args:
        backend: Keras's, the only one that may be loaded.
    """
    others = [name for name in BACKENDS if name != backend]
    absent = _Absent([name for name in (*NOT_NEEDED, *others) if name not in sys.modules])
    sys.meta_path.insert(0, absent)
    gc.disable()  # what imports make stays: looking through it for garbage is a part of the start that one would notice
    try:
        with without_noise():
            yield
    finally:
        gc.enable()
        gc.freeze()
        absent.names &= frozenset(others)
