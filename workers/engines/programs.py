"""Compiled epochs, kept from one cohort to the next.

May import: the method, the seam to the backend, the specs. Knows no report and no trial's id.
"""

import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from models.cohorts import program_document
from models.spec.experiment import TrialSpec
from workers.engines.backends import tensorflow as backend
from workers.engines.base import Arrays
from workers.engines.epoch import Method

_GRAPH_MUST_GAIN = 1.25
"""How many times faster than XLA the plain graph must be to be chosen: more than a busy machine makes by chance."""
_MEASURED_BATCHES = 4
_MEASURED_RUNS = 3


@dataclass(frozen=True)
class Program:
    """One epoch of several trials, compiled."""

    compiled: backend.Compiled
    compiler: str
    """`xla` or `graph`: which of its makes is run."""
    graph_per_xla: float | None
    """The graph's time as a multiple of XLA's; None if it was not measured now, or XLA cannot compile it."""
    compile_seconds: float
    """What tracing, compiling and measuring took."""
    known: bool = False
    """Whether it was there before it was asked for."""

    def __call__(self, *arguments: Any) -> Any:  # noqa: ANN401 - as `Method.epoch`
        """Run an epoch; see `workers.engines.epoch.Method.epoch`."""
        return self.compiled(self.compiler, *arguments)


class ProgramCache:
    """The methods and programs that were used last.

    Attributes:
        hits: how often a program was there already.
        misses: how often it was not.
    """

    def __init__(self, compilers: MutableMapping[str, str], size: int = 64) -> None:
        """Make an empty cache.

        Args:
            compilers: which compiler was found faster, by program; what is found is put there.
            size: how many programs are kept.
        """
        self._compilers, self._size = compilers, size
        self._methods: OrderedDict[str, Method] = OrderedDict()
        self._programs: OrderedDict[str, Program] = OrderedDict()
        self.hits, self.misses = 0, 0

    def method(self, spec: TrialSpec, arrays: Arrays) -> Method:
        """What the trials of a cohort compute, made once for all cohorts of the same shape."""
        key = program_key(spec, arrays)
        method: Method = _kept(
            self._methods, key, self._size, lambda: Method(spec, features=arrays.x.shape[1], key=key)
        )
        return method

    def program(
        self, method: Method, variant: str, steps: int, arguments: tuple[Any, ...], compiler: str | None
    ) -> Program:
        """A program, made if it is not there yet.

        Args:
            method: what it computes.
            variant: how wide it is, and what else tells it from other programs of the method.
            steps: how many full batches an epoch has.
            arguments: of an epoch, but for the number of batches.
            compiler: which one it must be; None: the faster one.

        Raises:
            CannotMapError: the trials cannot share a program.
        """
        key = f"{method.key}/{variant}"
        known = key in self._programs
        program: Program = _kept(self._programs, key, self._size, lambda: self._make(method, key, steps, arguments))
        self.hits, self.misses = self.hits + known, self.misses + (not known)
        return replace(program, known=known, compiler=compiler or program.compiler)

    def _make(self, method: Method, key: str, steps: int, arguments: tuple[Any, ...]) -> Program:
        """Trace it, compile it, and take the faster of its two makes, unless that is known from before."""
        started = time.perf_counter()
        few = backend.to_device(np.int32(min(_MEASURED_BATCHES, steps)))
        compiled = backend.Compiled(method.epoch, *arguments, few)
        graph_per_xla = None
        if key not in self._compilers:
            try:
                xla = _shortest(lambda: compiled("xla", *arguments, few))
            except backend.CannotCompileError:
                self._compilers[key] = "graph"
            else:
                graph_per_xla = _shortest(lambda: compiled("graph", *arguments, few)) / xla
                self._compilers[key] = "graph" if graph_per_xla < 1 / _GRAPH_MUST_GAIN else "xla"
        return Program(compiled, self._compilers[key], graph_per_xla, time.perf_counter() - started)


def program_key(spec: TrialSpec, arrays: Arrays) -> str:
    """What a program depends on, but for its width and its order of rows, as a short text."""
    shapes = [(array.shape, str(array.dtype)) for array in arrays.arrays()]
    text = json.dumps([program_document(spec), shapes, arrays.weight is not None], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _kept(cache: OrderedDict[str, Any], key: str, size: int, make: Callable[[], Any]) -> Any:  # noqa: ANN401 - a value
    """The value of a key, made if it is not there; beyond `size` values the one longest unused is dropped."""
    if key not in cache:
        cache[key] = make()
        while len(cache) > size:
            cache.popitem(last=False)
    cache.move_to_end(key)
    return cache[key]


def _shortest(run: Callable[[], Any]) -> float:
    """Seconds of the fastest of some runs, after one that compiles."""
    seconds = []
    for _ in range(_MEASURED_RUNS + 1):
        started = time.perf_counter()
        backend.to_numpy(run()[1])
        seconds.append(time.perf_counter() - started)
    return min(seconds[1:])
