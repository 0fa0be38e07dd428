"""Thinning of a trial's history to so many epochs as a picture can show."""

from collections.abc import Sequence
from dataclasses import dataclass

from models.sql.histories import EpochRow


def spaced_epochs(longest: int, count: int) -> range:
    """Return so many epochs at most, evenly spaced from the first one: the same of each of several trials.

    Args:
        longest: how many epochs the longest of the trials has.
        count: the most that are wanted.
    """
    return range(1, longest + 1, -(-longest // count) or 1)


@dataclass(frozen=True)
class Thinning:
    """Downsampling: number of epochs kept per trial, and the metrics that decide."""

    points: int
    """About so many, at least two."""
    metrics: Sequence[str] = ()
    """Metrics whose extremes are kept. Default: all."""
    read_at_most: int = 100_000
    """Epochs of all trials together that are read; of longer histories evenly spaced ones."""
    is_even: bool = False
    """True for evenly spaced epochs, the same of each trial, instead of extremes."""

    def apply(self, rows: Sequence[EpochRow], best_epoch: int | None, longest: int) -> list[EpochRow]:
        """Keep, of equally long stretches of a trial's epochs, those where a metric is lowest or highest.

        So a spike stays, however narrow it is. The first epoch stays too, the last, the best, and of each stretch the
        first that has a value which is not finite.

        Args:
            rows: the epochs, in order.
            best_epoch: the trial's best, if it has one.
            longest: how many epochs the longest of the trials has.
        """
        if len(rows) <= self.points:
            return list(rows)
        even = set(spaced_epochs(longest, self.points)) if self.is_even else set()
        chosen = {0, len(rows) - 1} | {
            place for place, (epoch, _) in enumerate(rows) if epoch == best_epoch or epoch in even
        }
        if not self.is_even:
            chosen |= self._extremes(rows)
        return [rows[place] for place in sorted(chosen)]

    def _extremes(self, rows: Sequence[EpochRow]) -> set[int]:
        names = self.metrics or list(rows[0][1])
        stretches = max(1, self.points // max(1, 2 * len(names)))
        chosen: set[int] = set()
        for number in range(stretches):
            stretch = range(number * len(rows) // stretches, (number + 1) * len(rows) // stretches)
            for name in names:
                # A number that is not finite is a string.
                values = {place: rows[place][1].get(name) for place in stretch}
                numbers = {place: value for place, value in values.items() if isinstance(value, int | float)}
                if numbers:
                    chosen |= {min(numbers, key=numbers.__getitem__), max(numbers, key=numbers.__getitem__)}
                if len(numbers) < len(values):
                    chosen.add(next(place for place in stretch if place not in numbers))
        return chosen
