"""Compiled epochs, kept from one cohort to the next."""

import time
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from cachetools import LRUCache

from fittingroom.specs.experiment import TrialSpec
from workers.engines.backends.chosen import backend
from workers.engines.backends.seam import CannotCompileError, Compiled
from workers.engines.base import Arrays
from workers.engines.fused.epoch import EpochPlan, TrainingStep
from workers.engines.program_keys import program_key

_GRAPH_MUST_GAIN = 1.25
"""Minimum speed-up over XLA for choosing the graph: more than the noise of a busy machine."""
_MEASURED_BATCHES = 4
_MEASURED_RUNS = 3


@dataclass(frozen=True)
class Program:
    """Some epochs of several trials, compiled."""

    compiled: Compiled
    compiler: str
    """`xla` or `graph`: which of its makes is run."""
    graph_per_xla: float | None
    """The graph's time as a multiple of XLA's; None if it was not measured now, or XLA cannot compile it."""
    compile_seconds: float
    """Time of tracing, compiling and measuring, in seconds."""
    known: bool = False
    """True if the program was cached."""

    def __call__(self, *arguments: Any) -> Any:  # noqa: ANN401 - as `TrainingStep.epochs`
        """Run it; see `workers.engines.fused.epoch.TrainingStep.epochs`."""
        return self.compiled(self.compiler, *arguments)


class ProgramCache:
    """The training steps and programs that were used last.

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
        self._compilers = compilers
        self._steps_by_key: LRUCache[str, TrainingStep] = LRUCache(size)
        self._programs: LRUCache[str, Program] = LRUCache(size)
        self.hits, self.misses = 0, 0

    def step(self, spec: TrialSpec, arrays: Arrays) -> TrainingStep:
        """Return the step of a cohort, built once for all cohorts of the same shape."""
        key = program_key(spec, arrays)
        if key not in self._steps_by_key:
            self._steps_by_key[key] = TrainingStep(spec, features=arrays.x.shape[1], key=key)
        return self._steps_by_key[key]

    def program(self, step: TrainingStep, variant: str, arguments: tuple[Any, ...], compiler: str | None) -> Program:
        """Return a program, made if it is not there yet.

        Args:
            step: what it computes.
            variant: its width, and what else identifies it among programs of the step.
            arguments: as it will be called with, the plan last.
            compiler: which one it must be; None: the faster one.

        Raises:
            CannotMapError: the trials cannot share a program.
            CannotCompileError: there is no such program.
        """
        key = f"{step.key}/{variant}"
        known = key in self._programs
        if not known:
            self._programs[key] = self._make(step, key, arguments)
        self.hits, self.misses = self.hits + known, self.misses + (not known)
        program = self._programs[key]
        return replace(program, known=known, compiler=compiler or program.compiler)

    def _make(self, step: TrainingStep, key: str, arguments: tuple[Any, ...]) -> Program:
        """Compile it, and take the faster of its makes, unless that is known from before."""
        started = time.perf_counter()
        compiled = backend.Compiled(step.epochs, *arguments)
        graph_per_xla = None
        if len(backend.COMPILERS) == 1:
            return Program(compiled, backend.COMPILERS[0], None, time.perf_counter() - started)
        if step.takes_long_in_xla:
            return Program(compiled, "graph", None, time.perf_counter() - started)
        if key not in self._compilers:
            *before, plan = arguments
            few = _some_batches(plan)
            try:
                xla = _shortest(lambda: compiled("xla", *before, few))
            except CannotCompileError:
                self._compilers[key] = "graph"
            else:
                graph_per_xla = _shortest(lambda: compiled("graph", *before, few)) / xla
                self._compilers[key] = "graph" if graph_per_xla < 1 / _GRAPH_MUST_GAIN else "xla"
        return Program(compiled, self._compilers[key], graph_per_xla, time.perf_counter() - started)


def _some_batches(plan: EpochPlan) -> EpochPlan:
    """Return a plan of the few batches that are measured."""
    steps = min(_MEASURED_BATCHES, int(backend.to_numpy(plan.steps)))
    return plan._replace(steps=backend.to_device(np.int32(steps)))


def _shortest(run: Callable[[], Any]) -> float:
    """Seconds of the fastest of some runs, after one that compiles."""
    seconds = []
    for _ in range(_MEASURED_RUNS + 1):
        started = time.perf_counter()
        backend.to_numpy(run()[1])
        seconds.append(time.perf_counter() - started)
    return min(seconds[1:])
