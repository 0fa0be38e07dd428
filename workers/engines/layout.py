"""Which trials of a cohort share a program call: pure arithmetic.

May import: nothing. Knows trials by their place in the cohort only. The layout decides rounding in the last bit, so it
follows from the cohort and the machine alone, never from a clock.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

_WIDTHS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
"""Few, so that cohorts of similar size share a program."""
_WORTH_SPLITTING = 4e5
"""Multiplications per step of all trials together, from which a second core gains more than it costs (measured)."""
_FILLS_THE_CORES = 2e7
"""Multiplications per step of one trial, from which it keeps all cores busy by itself (measured)."""
_WORTH_SHRINKING = 2e11
"""Multiplications saved, from which a smaller program is worth the second or so that compiling it takes (estimated)."""


@dataclass(frozen=True)
class Layout:
    """Trials in chunks; each chunk is one call of a program of `width` trials."""

    width: int
    at_once: int
    """How many calls run beside each other."""
    chunks: tuple[tuple[int, ...], ...]
    """The trials of each chunk, by their place in the cohort; where they are fewer than `width`, one is padding."""


@dataclass(frozen=True)
class Workload:
    """What the layout depends on, beside the trials."""

    cores: int
    """How many calls may run beside each other."""
    can_map: bool
    """Whether trials can share a call at all."""
    step_cost: float
    """Multiplications of one step of one trial."""
    epoch_cost: float
    """Multiplications of one epoch of one trial."""


def arrange(trials: Sequence[int], load: Workload) -> Layout:
    """Put trials into chunks.

    Args:
        trials: those that train, by their place.
        load: what it depends on otherwise.
    """
    fills_the_cores = load.step_cost >= _FILLS_THE_CORES
    if fills_the_cores or not load.can_map:
        return Layout(1, 1 if fills_the_cores else load.cores, tuple((trial,) for trial in trials))
    calls = load.cores if len(trials) * load.step_cost >= _WORTH_SPLITTING else 1
    wanted = math.ceil(len(trials) / calls)
    width = next((width for width in _WIDTHS if width >= wanted), _WIDTHS[-1])
    return Layout(
        width, load.cores, tuple(tuple(trials[start : start + width]) for start in range(0, len(trials), width))
    )


def is_worth_shrinking(layout: Layout, active: int, epochs_left: int, load: Workload) -> bool:
    """Whether to arrange anew: half of the trials have stopped, and those that go on have far to go."""
    lanes = sum(map(len, layout.chunks))
    return (
        layout.width > 1
        and active <= lanes / 2
        and (lanes - active) * epochs_left * load.epoch_cost >= _WORTH_SHRINKING
    )
