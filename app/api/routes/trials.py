"""Trials: read one, its history, cancel it."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from app.api.conditional_requests import (
    AS_CSV,
    UNCHANGED,
    Points,
    Version,
    WaitSeconds,
    answered,
    known_version,
    wants_csv,
)
from app.api.dependencies import ReadingKey, SubmitService, TrialId, reading_of, waited
from app.api.problems import problem_responses
from app.api.strict_route import StrictRoute
from fittingroom.views import resources

router = APIRouter(prefix="/v1/trials", tags=["trials"], route_class=StrictRoute)


@router.get(
    "/{trial_id}",
    operation_id="get_trial",
    response_model=resources.TrialView,
    responses=UNCHANGED | problem_responses(404, 422, 503),
)
async def get_trial(
    trial_id: TrialId, caller: ReadingKey, request: Request,
    wait: WaitSeconds = 0.0, version: Version = None,
) -> Response:  # fmt: skip
    """Return a trial: hyperparameters, network, best epoch."""
    if wait:
        known = version if version is not None else known_version(request)
        await waited(request, caller, "trial", trial_id, known, wait)
    return answered(request, await reading_of(request).trial(caller.project, trial_id))


@router.get(
    "/{trial_id}/history",
    operation_id="get_trial_history",
    response_model=resources.TrialHistoryView,
    responses=AS_CSV | UNCHANGED | problem_responses(404, 422, 503),
)
async def get_history(
    trial_id: TrialId, caller: ReadingKey, request: Request,
    after: Annotated[int, Query(ge=0, le=10**6, description="Return only epochs after this one.")] = 0,
    points: Points = None,
) -> Response:  # fmt: skip
    """Return the history of a trial in Keras's shape, as JSON, or as CSV with `Accept: text/csv`."""
    history = await reading_of(request).trial_history(
        caller.project, trial_id, after, points=points, as_csv=wants_csv(request)
    )
    return answered(request, history)


@router.post("/{trial_id}/cancel", status_code=202, operation_id="cancel_trial", responses=problem_responses(404, 503))
def cancel(trial_id: TrialId, service: SubmitService) -> resources.CancelView:
    """Cancel a trial: at once if queued, at the end of its epoch if running. Idempotent."""
    return service.cancel_trial(trial_id)
