"""Histories as they are answered: some trials at a time, so that one of any length takes little memory."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from app.services import presentation
from app.services.fair_turns import FairTurns
from app.services.reads.thinning import Thinning, spaced_epochs
from fittingroom.specs.limits import MAX_EPOCHS
from fittingroom.views.history_formats import csv_lines
from fittingroom.views.resources import ExperimentHistoryView, TrialHistoryView
from models.errors import NotFoundError
from models.sql import experiments
from models.sql.database import Database
from models.sql.histories import (
    TrialPosition,
    find_changes,
    find_trial_history,
    get_position,
    last_epochs_at,
    list_positions,
    read_epochs,
)
from models.sql.quick_reads import NotAtOnceError, QuickReads, rows_of

Piece = TypeVar("Piece")

ROWS_AT_ONCE = 10_000
"""Epochs of a page; a trial's are never parted, and it has at most `MAX_EPOCHS`."""
TRIALS_AT_ONCE = 100
MAX_EPOCHS_AT_ONCE = 100
"""Number of epochs up to which they are read on the event loop, in a fifth of a millisecond to half of one."""
MAX_TRIALS_AT_ONCE = 32
"""Number of trials of an experiment up to which its changes are. Specs of 200 KB would take 50 µs each."""
_turns = FairTurns(2)
"""Number of long answers read at a time, which bounds memory and leaves time for short ones."""


@dataclass(frozen=True)
class TrialHistories:
    """Histories of trials at one version, yet to be read."""

    database: Database
    positions: Sequence[TrialPosition]
    after_version: int = 0
    """Only what was written after this version is read."""
    thinning: Thinning | None = None

    def pages(self) -> Iterator[list[TrialHistoryView]]:
        """Read the histories, some trials at a time, in the order given.

        Raises:
            NotFoundError: a trial was deleted meanwhile.
        """
        for first in range(0, len(self.positions), TRIALS_AT_ONCE):
            positions = self.positions[first : first + TRIALS_AT_ONCE]
            starts = dict.fromkeys([position.id for position in positions], 0)
            if self.after_version:
                with self.database.reading() as session:
                    starts |= last_epochs_at(session, starts, self.after_version)
            for group in self._groups(positions, starts):
                yield self._read(group, starts)

    def metric_names(self) -> list[str]:
        """Return the names of all metrics, in the order in which the trials' first epochs have them."""
        names: dict[str, None] = {}
        for first in range(0, len(self.positions), TRIALS_AT_ONCE):
            ids = [position.id for position in self.positions[first : first + TRIALS_AT_ONCE]]
            with self.database.reading() as session:
                found = read_epochs(session, dict.fromkeys(ids, (0, 1)), only=[1])
            names |= dict.fromkeys(name for rows in found.values() for _, metrics in rows for name in metrics)
        return list(names)

    @cached_property
    def _longest(self) -> int:
        return max((position.epochs_completed for position in self.positions), default=0)

    @cached_property
    def _rows_each(self) -> int:
        """The most epochs that are read of a trial."""
        if self.thinning is None:
            return MAX_EPOCHS
        return max(self.thinning.points, self.thinning.read_at_most // max(1, len(self.positions)))

    def _is_long(self, position: TrialPosition) -> bool:
        return position.epochs_completed > self._rows_each

    def _groups(self, positions: Sequence[TrialPosition], starts: Mapping[str, int]) -> Iterator[list[TrialPosition]]:
        """Part trials into such as one query reads: all their epochs, or the same ones of each."""
        group: list[TrialPosition] = []
        rows = 0
        for position in positions:
            new_rows = min(position.epochs_completed - starts[position.id], self._rows_each)
            is_other = bool(group) and self._is_long(position) != self._is_long(group[0])
            if group and (is_other or rows + new_rows > ROWS_AT_ONCE):
                yield group
                group, rows = [], 0
            group.append(position)
            rows += new_rows
        if group:
            yield group

    def _read(self, group: Sequence[TrialPosition], starts: Mapping[str, int]) -> list[TrialHistoryView]:
        only: Collection[int] | None = None
        marked: dict[str, list[int]] = {}
        if self._is_long(group[0]):
            only = spaced_epochs(self._longest, self._rows_each)
            # Of their own trial alone: the best epochs of a hundred trials are a hundred.
            marked = {
                position.id: [epoch for epoch in (position.best_epoch, position.epochs_completed) if epoch]
                for position in group
            }
        spans = {position.id: (starts[position.id], position.epochs_completed) for position in group}
        with self.database.reading() as session:
            found = read_epochs(session, spans, only=only, marked=marked)
        views = []
        for position in group:
            rows = found[position.id]
            last = rows[-1][0] if rows else starts[position.id]
            if last < position.epochs_completed:
                raise NotFoundError("trial", position.id)
            kept = rows if self.thinning is None else self.thinning.apply(rows, position.best_epoch, self._longest)
            views.append(presentation.trial_history(position, kept))
        return views


@dataclass(frozen=True)
class ExperimentHistory:
    """An experiment's history at one version, yet to be read."""

    project: str
    about: ExperimentHistoryView
    """Everything but the trials."""
    trials: TrialHistories
    """Trials that have changed after the version given."""


def find_history(
    database: Database, project: str, experiment_id: str, after_version: int = 0, thinning: Thinning | None = None
) -> ExperimentHistory:
    """Find the trials that have changed after a version, and their epochs since; or raise NotFoundError."""
    with database.reading() as session:
        row = experiments.get_experiment(session, experiment_id, project)
        progress = experiments.get_progress(session, [row])[experiment_id]
        positions = list_positions(session, experiment_id, after_version=after_version)
    about = presentation.experiment_history(row, progress)
    return ExperimentHistory(project, about, TrialHistories(database, positions, after_version, thinning))


def find_trial_histories(
    database: Database, project: str, trial_ids: Sequence[str], thinning: Thinning | None = None
) -> TrialHistories:
    """Find the histories of some trials, whatever experiments they are of; or raise NotFoundError."""
    with database.reading() as session:
        rows = [experiments.get_trial(session, trial_id, project) for trial_id in trial_ids]
        return TrialHistories(database, [get_position(row) for row in rows], thinning=thinning)


def get_trial_history(
    database: Database, project: str, trial_id: str, after_epoch: int = 0, thinning: Thinning | None = None
) -> TrialHistoryView:
    """Read a trial's epochs later than one of them; or raise NotFoundError."""
    with database.reading() as session:
        found = find_trial_history(rows_of(session), trial_id, after_epoch)
    if found is None or found.project != project:
        raise NotFoundError("trial", trial_id)
    position, epochs = found.position, found.epochs
    kept = epochs if thinning is None else thinning.apply(epochs, position.best_epoch, position.epochs_completed)
    return presentation.trial_history(position, kept)


def get_short_history(quick: QuickReads, project: str, trial_id: str, after_epoch: int) -> TrialHistoryView | None:
    """Read the same without a thread; None where it is too long, or is not to be had at once."""
    try:
        found = find_trial_history(quick.rows, trial_id, after_epoch, MAX_EPOCHS_AT_ONCE)
    except NotAtOnceError:
        return None
    if found is None or found.project != project:
        return None
    # Its epochs are read after its progress: it may have been deleted in between.
    is_whole = after_epoch + len(found.epochs) >= found.position.epochs_completed
    return presentation.trial_history(found.position, found.epochs) if is_whole else None


def get_short_changes(
    quick: QuickReads, project: str, experiment_id: str, after_version: int
) -> ExperimentHistoryView | None:
    """Read what has changed in an experiment, likewise."""
    try:
        with quick.snapshot():
            found = find_changes(
                quick.rows,
                experiment_id,
                after_version,
                max_trials=MAX_TRIALS_AT_ONCE,
                max_epochs=MAX_EPOCHS_AT_ONCE,
            )
    except NotAtOnceError:
        return None
    return None if found is None or found.project != project else presentation.changes(experiment_id, found)


async def next_piece(project: str, pieces: Iterator[Piece]) -> Piece | None:
    """Return the next piece of a long answer, made in a thread at the project's turn; None after the last."""
    return await _turns.run(project, lambda: next(pieces, None))


def json_pieces(history: ExperimentHistory) -> Iterator[bytes]:
    """Encode a history, to the same bytes as its view would have."""
    head = history.about.model_dump_json().encode()
    yield head.removesuffix(b"]}")
    comma = b""
    for page in history.trials.pages():
        yield comma + b",".join(view.model_dump_json().encode() for view in page)
        comma = b","
    yield b"]}"


def csv_pieces(history: ExperimentHistory) -> Iterator[bytes]:
    """Encode a history as a table: one line an epoch, a column a metric, the trial in front."""
    yield from (text.encode() for text in csv_lines(history.trials.metric_names(), history.trials.pages()))
