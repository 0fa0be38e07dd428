"""Choice of a program's compiler: TensorFlow's graph as it is, or XLA. Pure arithmetic.

The compiler decides the last bit of a history, so it follows from the spec, the data and the kind of device, never from
a clock. The constants are those of `make bench-compilers`, whose table is in docs/speed.md; only their ratios matter,
and these are much the same on a fast machine and on a slow one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from fittingroom.specs.experiment import TrialSpec
from fittingroom.specs.layers.layer_spec import LayerSpec, type_of

USES = 15
"""Number of times that a program is expected to be used: what making it takes is shared by them (a guess). Fewer would
make new programs start sooner, and known ones run longer."""
_EPOCHS_BEFORE_STOPPING = 0.5
"""Part of the epochs that a trial with early stopping is expected to train (a guess)."""
_STEP_SECONDS = 2.2e-4
_MAPPED_STEP_SECONDS = 5e-4
"""Time that XLA saves in a step, however small, of one trial and of several: a graph starts operations one by one."""
_SECONDS = 7e-11
"""Time that XLA saves for a multiplication in a program of one trial."""
_MAPPED_SECONDS = 1.5e-10
"""The same in a program of several, where a graph multiplies stacks of matrices slowly."""
_MAPPED_TRIAL_SECONDS = 1e-5
"""Time that XLA saves in a step for each trial of such a program."""
_MAKING_SECONDS = 0.3
_MAKING_LAYER_SECONDS = 0.1
"""Time that XLA takes beyond the graph to make a program: of any, and for each layer."""
_SEQUENCE_STEP_SECONDS = 4.5e-5
"""Time that XLA saves for each step of a sequence (LSTM of 98 steps, two busy cores, 2026-11-29)."""
_MAKING_SEQUENCE_SECONDS = 2.0
"""Time that XLA takes beyond the graph to make a recurrent layer, there and then."""
_TRACED_TWICE = 1.5
"""Factor where the last batch is traced by itself: batch statistics take no padding."""
_MAX_XLA_NORMALIZATIONS = 20
"""Number of normalisation layers up to which XLA is used. Its time grows with their square: it took 18 and 55 s for 20
and 40 of them where the plain graph took 10 and 19 s (two cores, 2026-11-27)."""
_NORMALIZATIONS = {"batch_normalization", "layer_normalization", "group_normalization", "rms_normalization"}


@dataclass(frozen=True)
class CompilerChoice:
    """A compiler, and why this one."""

    compiler: str
    """`graph` or `xla`."""
    reason: str


@dataclass(frozen=True)
class Calls:
    """Calls of a program that train a cohort, as if on one core: their number must not decide."""

    width: int
    """Number of trials per program."""
    turns: int
    """Number of programs that run one after the other."""
    steps: int
    """Steps per epoch."""
    step_cost: float
    """Multiplications of one step of one trial."""
    epochs: int
    """Maximum number of epochs."""
    is_on_gpu: bool = False
    sequence_steps: int = 0
    """Steps of sequences that recurrent layers compute one after the other, in each step of training."""


def choose_compiler(spec: TrialSpec, calls: Calls, compilers: Sequence[str]) -> CompilerChoice:
    """Return the compiler with which a cohort is expected to take less time, its part of making the program included.

    Args:
        spec: any trial of the cohort.
        calls: how its program will be called.
        compilers: those that the backend has.
    """
    if len(compilers) == 1:
        return CompilerChoice(compilers[0], "the backend has no other")
    if (choice := _by_layers(list(spec.model.parts()), calls)) is not None:
        return choice
    saved, longer = _saved_seconds(spec, calls), _longer_to_make(spec)
    compared = (
        f"XLA saves an estimated {saved:.2g} s a use, in {USES} expected uses, and takes {longer:.2g} s longer to make"
    )
    return CompilerChoice("xla" if saved * USES > longer else "graph", compared)


def _by_layers(layers: Sequence[LayerSpec], calls: Calls) -> CompilerChoice | None:
    """Return the compiler that the layers of a network ask for, whatever it costs; None if they ask for none."""
    if any(layer.is_random for layer in layers):
        return CompilerChoice("graph", "XLA would draw other random numbers than TensorFlow")
    normalizations = sum(type_of(layer) in _NORMALIZATIONS for layer in layers)
    if normalizations > _MAX_XLA_NORMALIZATIONS:
        return CompilerChoice("graph", f"XLA would compile {normalizations} normalisation layers for minutes")
    if calls.is_on_gpu:
        return CompilerChoice("xla", "a GPU is started once for many operations")
    if any(layer.convolves for layer in layers):
        return CompilerChoice("graph", "on a CPU its convolutions are faster than those of XLA")
    return None


def as_begun(compiler: str) -> CompilerChoice:
    """Return the choice for a cohort that goes on: another compiler would round differently."""
    return CompilerChoice(compiler, "as the cohort began")


def _longer_to_make(spec: TrialSpec) -> float:
    """Return the time that XLA is expected to take beyond the graph to make a program."""
    is_traced_twice = any(not layer.keeps_rows_apart for layer in spec.model.parts())
    once = _MAKING_SECONDS + _MAKING_LAYER_SECONDS * len(spec.model.layers)
    once += _MAKING_SEQUENCE_SECONDS * sum(layer.goes_by_steps for layer in spec.model.parts())
    return once * _TRACED_TWICE if is_traced_twice else once


def _saved_seconds(spec: TrialSpec, calls: Calls) -> float:
    """Return the time that XLA is expected to save in all epochs."""
    epochs = calls.epochs * (_EPOCHS_BEFORE_STOPPING if spec.early_stopping is not None else 1)
    cost = calls.width * calls.step_cost
    step = _STEP_SECONDS + _SECONDS * cost
    if calls.width > 1:
        step = _MAPPED_STEP_SECONDS + _MAPPED_TRIAL_SECONDS * calls.width + _MAPPED_SECONDS * cost
    step += _SEQUENCE_STEP_SECONDS * calls.sequence_steps
    return epochs * calls.turns * max(1, calls.steps) * step
