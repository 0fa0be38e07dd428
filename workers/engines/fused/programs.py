"""Compiled epochs, kept from one cohort to the next."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
from cachetools import LRUCache

from fittingroom.specs.experiment import TrialSpec
from fittingroom.views.states import TrialPhase
from workers.engines.backends.chosen import backend
from workers.engines.backends.seam import Compiled, Tensor, Tree
from workers.engines.base import Arrays
from workers.engines.fused.epoch import State, TrainingStep
from workers.engines.program_keys import program_key
from workers.engines.program_store import KeptProgram, ProgramStore


@dataclass(frozen=True)
class Program:
    """Some epochs of several trials, compiled."""

    compiled: Compiled
    compile_seconds: float
    """Time of tracing and compiling, in seconds."""
    known: bool = False
    """True if the program was cached by this process."""

    def __call__(self, slots: list[Tensor], network: State, *others: Tree) -> tuple[State, Tensor]:
        """Run it; see `workers.engines.fused.epoch.TrainingStep.epochs`. Return the states and the metrics."""
        *states, results = self.compiled(slots, network, *others)
        weights, rest = len(network.weights), len(network.weights) + len(network.others)
        return State(states[:weights], states[weights:rest], states[rest:]), results


class ProgramCache:
    """The training steps and programs that were used last.

    Attributes:
        hits: how often a program was there already.
        misses: how often it was not.
    """

    def __init__(self, store: ProgramStore | None = None, size: int = 64) -> None:
        """Make an empty cache.

        Args:
            store: where programs are kept beyond this process.
            size: how many are kept in memory.
        """
        self._store = store
        self._steps_by_key: LRUCache[str, TrainingStep] = LRUCache(size)
        self._programs: LRUCache[str, Program] = LRUCache(size)
        self.hits, self.misses = 0, 0

    def step(self, spec: TrialSpec, arrays: Arrays) -> TrainingStep:
        """Return the step of a cohort, built once for all cohorts of the same shape."""
        key = program_key(spec, arrays)
        if key not in self._steps_by_key:
            self._steps_by_key[key] = TrainingStep(spec, features=arrays.x.shape[1], key=key)
        return self._steps_by_key[key]

    def program(
        self,
        step: TrainingStep,
        variant: str,
        compiler: str,
        arguments: tuple[Any, ...],
        on_phase: Callable[[TrialPhase], None],
    ) -> Program:
        """Return a program, made if it is not there yet.

        Args:
            step: what it computes.
            variant: its width, and what else identifies it among programs of the step.
            compiler: `graph` or `xla`.
            arguments: as it will be called with, the plan last.
            on_phase: called before it is traced, and before it is compiled.

        Raises:
            CannotMapError: the trials cannot share a program.
            CannotCompileError: there is no such program.
        """
        key = f"{step.key}/{variant}/{compiler}"
        known = key in self._programs
        if not known:
            started = time.perf_counter()
            *before, plan = arguments
            nothing = plan._replace(steps=backend.to_device(np.int32(0)))  # it may be run in order to be made
            kept = KeptProgram(self._store, f"{key}/{keras.backend.backend()}/{backend.capacity().is_gpu}")
            example = (*before, nothing)
            trace = kept.read_trace()
            if trace is None:
                on_phase(TrialPhase.TRACING)
                trace = backend.trace(step.epochs, compiler, example)
                kept.keep_trace(trace)
            on_phase(TrialPhase.COMPILING)
            compiled = backend.Compiled(trace, compiler, kept, *example)
            self._programs[key] = Program(compiled, time.perf_counter() - started)
        self.hits, self.misses = self.hits + known, self.misses + (not known)
        return replace(self._programs[key], known=known)
