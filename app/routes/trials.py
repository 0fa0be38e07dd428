"""Trials: read one, its history, cancel it.

May import: fastapi, the service, the views. Knows no SQL.
"""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from app import schemas
from app.dependencies import ServiceDependency, TrialId
from app.errors import problem_responses
from app.routes.negotiation import AS_CSV, UNCHANGED, etag_of, history_answer, unless_known

router = APIRouter(prefix="/v1/trials", tags=["trials"])


@router.get(
    "/{trial_id}",
    operation_id="get_trial",
    response_model=schemas.TrialView,
    responses=UNCHANGED | problem_responses(404, 503),
)
def get_trial(
    trial_id: TrialId, service: ServiceDependency, request: Request, response: Response
) -> schemas.TrialView | Response:
    """A trial: its hyperparameters, its network, its best epoch."""
    view = service.get_trial(trial_id)
    return unless_known(request, response, etag_of(view.version), view)


@router.get(
    "/{trial_id}/history",
    operation_id="get_trial_history",
    response_model=schemas.TrialHistoryView,
    responses=AS_CSV | UNCHANGED | problem_responses(404, 422, 503),
)
def get_history(
    trial_id: TrialId,
    service: ServiceDependency,
    request: Request,
    response: Response,
    after: Annotated[int, Query(ge=0, le=10**6, description="Only epochs later than this one.")] = 0,
) -> schemas.TrialHistoryView | Response:
    """A trial's history in Keras's shape, as JSON, or as CSV with `Accept: text/csv`."""
    view = service.get_trial_history(trial_id, after)
    return history_answer(request, response, etag_of(view.version), view, [view])


@router.post("/{trial_id}/cancel", status_code=202, operation_id="cancel_trial", responses=problem_responses(404, 503))
def cancel(trial_id: TrialId, service: ServiceDependency) -> schemas.CancelView:
    """Cancel this trial: at once if it is queued, at the end of its epoch if it runs. Again changes nothing."""
    return service.cancel_trial(trial_id)
