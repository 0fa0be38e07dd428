"""Layout of a cohort: the trials that share a program call. Pure arithmetic.

The layout decides rounding in the last bit, so it follows from the cohort and the machine alone, never from a clock.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from workers.engines.backends.seam import Capacity

_WIDTHS = (
    1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096,
)  # fmt: skip
"""Few, so that cohorts of similar size share a program."""
_WORTH_SPLITTING = 5e4
"""Multiplications per step of all trials together, from which a second core gains more than it costs (measured)."""
_CALL_COST = 4e6
"""Fixed overhead of one program call, in multiply-adds (measured)."""
_STEP_COST = 8e4
"""Fixed overhead of one step, in multiply-adds (measured)."""
_MAX_EPOCHS_PER_CALL = 16
_CALLS_WORTH = 16
"""Minimum work of a call, in multiples of its overhead, if epochs are short."""
_MAX_BYTES_OF_EPOCHS = 32 * 1024**2
"""Limit on the states of a call of several epochs, in bytes."""
_WORTH_SHRINKING = 2e11
"""Multiplications saved, from which a smaller program is worth the second or so that compiling it takes (estimated)."""


@dataclass(frozen=True)
class ProgramLayout:
    """Trials in blocks; each block is one call of a program of `width` trials."""

    width: int
    at_once: int
    """Number of concurrent calls."""
    epochs_per_call: int
    """Maximum number of epochs per call."""
    blocks: tuple[tuple[int, ...], ...]
    """The trials of each block, by index in the cohort; where they are fewer than `width`, the first fills it."""
    lanes: tuple[tuple[int, ...], ...] | None = None
    """Place of each trial in its block, from 0; None for the first places. Trials that go on where others have ended
    keep their places: these decide the rounding of the last bit too."""
    laid_out_for: int | None = None
    """Number of trials that it was made for, where those in `blocks` are the ones of them that go on; else None."""
    is_one_order: bool | None = None
    """True if the trials of each block have the same row order; None if that follows from their seeds."""

    def lanes_of(self, block: int) -> tuple[int, ...]:
        """Return the place of each trial of a block."""
        return tuple(range(len(self.blocks[block]))) if self.lanes is None else self.lanes[block]


@dataclass(frozen=True)
class Workload:
    """Workload of a cohort, which decides the layout."""

    device: Capacity
    can_map: bool
    """True if trials can share a call."""
    step_cost: float
    """Multiplications of one step of one trial."""
    epoch_cost: float
    """Multiplications of one epoch of one trial."""
    trial_bytes: int = 0
    """Size of one trial on the device, in bytes."""
    steps: int = 1
    """Steps per epoch."""
    one_by_one: bool = False
    """True for one epoch per call, because its time counts, or the next one depends on it, or there is only one."""


def arrange(trials: Sequence[int], load: Workload) -> ProgramLayout:
    """Put trials into blocks.

    Args:
        trials: those that train, by index.
        load: what it depends on otherwise.
    """
    fills_the_device = load.step_cost >= load.device.fills
    if fills_the_device or not load.can_map:
        at_once = 1 if fills_the_device else load.device.calls
        return ProgramLayout(1, at_once, _epochs_per_call(1, len(trials), load), tuple((trial,) for trial in trials))
    calls = load.device.calls if len(trials) * load.step_cost >= _WORTH_SPLITTING else 1
    wanted = math.ceil(len(trials) / calls)
    widths = [width for width in _WIDTHS if width <= load.device.widest]
    width = next((width for width in widths if width >= wanted), widths[-1])
    blocks = tuple(tuple(trials[start : start + width]) for start in range(0, len(trials), width))
    return ProgramLayout(width, load.device.calls, _epochs_per_call(width, len(blocks), load), blocks)


def _epochs_per_call(width: int, blocks: int, load: Workload) -> int:
    """One, or so many short ones that a call is worth its cost."""
    epochs, epoch_cost = 1, width * load.epoch_cost + load.steps * _STEP_COST
    while (
        not load.one_by_one
        and epochs < _MAX_EPOCHS_PER_CALL
        and epochs * epoch_cost < _CALLS_WORTH * _CALL_COST
        and 2 * epochs * blocks * width * load.trial_bytes <= _MAX_BYTES_OF_EPOCHS
    ):
        epochs *= 2
    return epochs


def is_worth_shrinking(layout: ProgramLayout, active: int, epochs_left: int, load: Workload) -> bool:
    """Return True if a new layout pays: half of the trials have stopped, and many epochs are left."""
    stacked = layout.laid_out_for or sum(map(len, layout.blocks))
    return (
        layout.width > 1
        and active <= stacked / 2
        and (stacked - active) * epochs_left * load.epoch_cost >= _WORTH_SHRINKING
    )
