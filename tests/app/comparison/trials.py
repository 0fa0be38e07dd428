"""Trials with given results, for comparisons."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

from fittingroom.views.resources import BestEpochView, EngineView, ObjectiveView, TrialSummaryView
from fittingroom.views.states import TrialState

LOSS = ObjectiveView(metric="val_loss", direction="minimize")
ACCURACY = ObjectiveView(metric="val_accuracy", direction="maximize")
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


COMPLETED = TrialSummaryView.model_validate(
    {
        "id": "trl_1", "experiment_id": "exp_1", "number": 1, "label": "", "model": None, "hyperparameters": {},
        "seed": 0, "state": TrialState.COMPLETED, "stop_reason": None, "fault": None, "version": 1, "created_at": NOW,
        "started_at": NOW, "finished_at": NOW, "cancel_requested_at": None, "attempt": 1,
        "engine": EngineView(name="fused", reason=""), "parameter_count": 100, "epochs_planned": 9,
        "epochs_completed": 9, "training_seconds": 2.0, "best_epoch": None,
    }
)  # fmt: skip
"""A valid trial, copied for each: to validate tens of thousands took half of the simulations' time."""


def trial(number: int, model: str | None, seed: int, metrics: Mapping[str, Any] | None, **changes: Any) -> Any:
    best = None if metrics is None else BestEpochView(epoch=number, metrics=dict(metrics))
    own = {"id": f"trl_{number}", "number": number, "label": f"{model}, seed={seed}", "model": model, "seed": seed}
    return COMPLETED.model_copy(update=own | {"best_epoch": best} | changes)
