"""Rules after each epoch of a trial: stopping and its reason, weights to keep, next learning rate."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fittingroom.specs.experiment import TrialSpec
from fittingroom.specs.objectives import is_better
from fittingroom.specs.search.search_space import sampled_value
from fittingroom.views.states import StopReason
from workers.engines.base import Metrics
from workers.reporting.early_stopping import Patience
from workers.reporting.reduce_lr_on_plateau import Plateau


@dataclass(frozen=True)
class TrialDecision:
    """Decision after one epoch of one trial."""

    recorded: Metrics
    """The epoch's metrics, as they are stored."""
    ended: StopReason | None = None
    """Stop reason; None to go on."""
    keep: bool = False
    """True to keep its weights: it is the best epoch so far by the objective, or by Keras's rule with
    `restore_best_weights`."""
    learning_rate: float | None = None
    """Next learning rate; None if unchanged."""
    could_go_on: bool = False
    """True if it has ended with its last epoch, and with more of them would not have."""


class TrialWatch:
    """Watches one trial, epoch by epoch."""

    def __init__(self, spec: TrialSpec) -> None:
        """Args: spec: the trial."""
        self._epochs = sampled_value(spec.fit.epochs)
        stopping, plateau = spec.early_stopping, spec.reduce_lr_on_plateau
        self._patience = None if stopping is None else Patience(stopping)
        self._keeps_best = stopping is not None and stopping.restore_best_weights
        self._plateau = None if plateau is None else Plateau(plateau, float(spec.optimizer.learning_rate))  # type: ignore[arg-type]  # checked: no schedule
        self._time_limit = spec.fit.time_limit_seconds
        self._objective = spec.objective
        self._best: float | None = None
        self._seconds = 0.0
        self.kept_epoch: int | None = None
        """The epoch whose weights were kept last."""

    def state(self) -> dict[str, Any]:
        """Return the state as JSON, for a checkpoint."""
        rules = {"patience": self._patience, "plateau": self._plateau}
        known = {"seconds": self._seconds, "best": self._best, "kept_epoch": self.kept_epoch}
        return known | {name: rule.state() for name, rule in rules.items() if rule is not None}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore what `state` returned."""
        self._seconds, self._best, self.kept_epoch = state["seconds"], state["best"], state["kept_epoch"]
        if self._patience is not None:
            self._patience.restore(state["patience"])
        if self._plateau is not None:
            self._plateau.restore(state["plateau"])

    @property
    def has_weights(self) -> bool:
        """True if the trial has weights to store: some epoch had a finite objective."""
        return self.kept_epoch is not None or self._keeps_best

    def after(self, epoch: int, metrics: Metrics, seconds: float = 0.0) -> TrialDecision:
        """Judge an epoch.

        Args:
            epoch: counted from 1.
            metrics: the epoch's.
            seconds: for how long it has kept the trial, whoever trained beside it.
        """
        self._seconds += seconds
        recorded, changed = metrics, None
        if self._plateau is not None:
            before = self._plateau.learning_rate
            recorded = {**metrics, "learning_rate": before}  # as Keras does: the rate that was used
            self._plateau.after(metrics)
            changed = self._plateau.learning_rate if self._plateau.learning_rate != before else None
        # Patience is asked in the last epoch too, so that its state is what Keras's would be.
        exhausted = self._patience is not None and self._patience.is_exhausted(epoch, metrics)
        keep = self._is_best(metrics)
        if self._keeps_best and self._patience is not None:
            keep = self._patience.is_best
        if keep:
            self.kept_epoch = epoch
        is_late = self._time_limit is not None and self._seconds >= self._time_limit
        ended = None
        if not math.isfinite(metrics["loss"]):
            ended = StopReason.DIVERGED
        elif epoch >= self._epochs:
            ended = StopReason.EPOCHS
        elif exhausted:
            ended = StopReason.EARLY_STOPPING
        elif is_late:
            ended = StopReason.TIME_LIMIT
        could_go_on = ended is StopReason.EPOCHS and not exhausted and not is_late
        return TrialDecision(recorded, ended, keep, changed, could_go_on)

    def look(self, metrics: Metrics) -> None:
        """Take an epoch that was judged by an earlier attempt."""
        self._is_best(metrics)

    @property
    def best(self) -> float | None:
        """Best objective so far; None if none was a number."""
        return self._best

    def _is_best(self, metrics: Metrics) -> bool:
        value, direction = metrics[self._objective.metric], self._objective.direction or "minimize"
        if not is_better(value, self._best, direction):
            return False
        self._best = value
        return True
