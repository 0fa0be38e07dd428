"""Trials: read one, its history, cancel it.

May import: fastapi, the service, the views. Knows no SQL.
"""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from app import presentation, schemas
from app.dependencies import ServiceDependency, TrialId
from app.errors import Responses, problem_responses
from app.routes.negotiation import CSV, etag_of, is_known, not_modified, wants_csv

router = APIRouter(prefix="/v1/trials", tags=["trials"])

_ALSO: Responses = {
    200: {"content": {CSV: {}}},
    304: {"description": "Nothing has changed since the version in `If-None-Match`."},
}


@router.get("/{trial_id}", operation_id="get_trial", responses=problem_responses(404, 503))
def get_trial(trial_id: TrialId, service: ServiceDependency) -> schemas.TrialView:
    """A trial: its hyperparameters, its network, its best epoch."""
    return service.get_trial(trial_id)


@router.get(
    "/{trial_id}/history",
    operation_id="get_trial_history",
    response_model=schemas.TrialHistoryView,
    responses=_ALSO | problem_responses(404, 422, 503),
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
    etag = etag_of(view.version)
    if is_known(request, etag):
        return not_modified(etag)
    if wants_csv(request):
        return Response(presentation.history_csv([view]), media_type=CSV, headers={"ETag": etag})
    response.headers["ETag"] = etag
    return view


@router.post("/{trial_id}/cancel", status_code=202, operation_id="cancel_trial", responses=problem_responses(404, 503))
def cancel(trial_id: TrialId, service: ServiceDependency) -> schemas.CancelView:
    """Cancel this trial: at once if it is queued, at the end of its epoch if it runs. Again changes nothing."""
    return service.cancel_trial(trial_id)
