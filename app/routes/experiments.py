"""Experiments: submit, plan, list, read, look at, cancel, pause, resume, delete.

May import: fastapi, the service, the views. Knows no SQL.
"""

from typing import Annotated

from fastapi import APIRouter, Body, Query, Request, Response

from app import schemas
from app.dependencies import ExperimentId, ServiceDependency
from app.errors import Responses, problem_responses
from app.routes.negotiation import (
    AS_CSV,
    UNCHANGED,
    etag_of,
    from_cursor,
    history_answer,
    is_known,
    not_modified,
    refuse_parameter,
    to_cursor,
    unless_known,
)
from models.history import History
from models.lifecycle import ExperimentState
from models.spec.examples import example_documents
from models.spec.experiment import ExperimentSpec
from models.spec.limits import MAX_NAME_LENGTH, MAX_TAG_LENGTH
from models.spec.metrics import recorded_metrics

router = APIRouter(prefix="/v1/experiments", tags=["experiments"])

_EXAMPLES = {name: {"summary": document["name"], "value": document} for name, document in example_documents().items()}
SpecBody = Annotated[ExperimentSpec, Body(openapi_examples=_EXAMPLES)]
Word = r"^[^\x00-\x1f\x7f]*$"

_PICTURE: Responses = {200: {"content": {"image/svg+xml": {}}, "description": "A picture."}}


@router.post("", status_code=202, operation_id="submit_experiment", responses=problem_responses(413, 422, 503))
def submit(spec: SpecBody, service: ServiceDependency, response: Response) -> schemas.ExperimentView:
    """Submit an experiment: it is checked, expanded into trials, stored and queued.

    What is answered 202 is never lost: it trains as soon as a worker is free.
    """
    view = service.submit(spec)
    response.headers["Location"] = f"/v1/experiments/{view.id}"
    response.headers["ETag"] = etag_of(view.version, view.waiting_for)
    return view


@router.post("/plan", operation_id="plan_experiment", responses=problem_responses(413, 422))
def plan(spec: SpecBody, service: ServiceDependency) -> schemas.PlanView:
    """Say which trials and cohorts an experiment would have, and what would train them. Stores nothing."""
    return service.plan(spec)


@router.get("", operation_id="list_experiments", responses=problem_responses(422, 503))
def list_experiments(
    service: ServiceDependency,
    *,
    limit: Annotated[int, Query(ge=1, le=100, description="At most so many.")] = 20,
    cursor: Annotated[str | None, Query(max_length=100, description="`next_cursor` of the page before.")] = None,
    state: Annotated[ExperimentState | None, Query(description="Only those in this state.")] = None,
    name: Annotated[
        str | None, Query(max_length=MAX_NAME_LENGTH, pattern=Word, description="Only those with exactly this name.")
    ] = None,
    tag: Annotated[
        str | None, Query(max_length=MAX_TAG_LENGTH, pattern=Word, description="Only those with this tag.")
    ] = None,
) -> schemas.ListView[schemas.ExperimentSummaryView]:
    """Experiments, newest first."""
    before = from_cursor(cursor) if cursor is not None else None
    items, more = service.list_experiments(limit, before, state, name, tag)
    return schemas.ListView(items=items, next_cursor=to_cursor(items[-1].id) if more else None)


@router.get(
    "/{experiment_id}",
    operation_id="get_experiment",
    response_model=schemas.ExperimentView,
    responses=UNCHANGED | problem_responses(404, 503),
)
def get_experiment(
    experiment_id: ExperimentId, service: ServiceDependency, request: Request, response: Response
) -> schemas.ExperimentView | Response:
    """Where an experiment is: state, progress, the best trial so far."""
    view = service.get_experiment(experiment_id)
    return unless_known(request, response, etag_of(view.version, view.waiting_for), view)


@router.get(
    "/{experiment_id}/trials",
    operation_id="list_trials",
    response_model=schemas.ListView[schemas.TrialSummaryView],
    responses=UNCHANGED | problem_responses(404, 503),
)
def list_trials(
    experiment_id: ExperimentId, service: ServiceDependency, request: Request, response: Response
) -> schemas.ListView[schemas.TrialSummaryView] | Response:
    """An experiment's trials, all of them, by number."""
    items, version = service.list_trials(experiment_id)
    return unless_known(request, response, etag_of(version), schemas.ListView(items=items))


@router.get(
    "/{experiment_id}/history",
    operation_id="get_experiment_history",
    response_model=schemas.ExperimentHistoryView,
    responses=AS_CSV | UNCHANGED | problem_responses(404, 422, 503),
)
def get_history(
    experiment_id: ExperimentId,
    service: ServiceDependency,
    request: Request,
    response: Response,
    after: Annotated[int, Query(ge=0, le=2**53, description="Only epochs written after this version.")] = 0,
) -> schemas.ExperimentHistoryView | Response:
    """The histories of all trials, as JSON, or as CSV with `Accept: text/csv`."""
    view = service.get_experiment_history(experiment_id, after)
    return history_answer(request, response, etag_of(view.version), view, view.trials)


@router.get(
    "/{experiment_id}/plot.svg",
    operation_id="plot_experiment",
    response_class=Response,
    responses=_PICTURE | UNCHANGED | problem_responses(404, 422, 503),
)
def plot(
    experiment_id: ExperimentId,
    service: ServiceDependency,
    request: Request,
    metric: Annotated[
        str | None,
        Query(max_length=MAX_NAME_LENGTH, pattern=Word, description="Which metric; by default the objective's."),
    ] = None,
) -> Response:
    """The curves of one metric, all trials in one picture, each trial's best epoch marked."""
    # matplotlib takes longer to import than the rest of the API together, and most processes never draw.
    from app.plots import Curve, draw_curves  # noqa: PLC0415

    view = service.get_experiment(experiment_id)
    chosen = metric or view.objective.metric
    spec = ExperimentSpec.model_validate(view.spec)
    is_validated, rate_changes = spec.fit.validation_split > 0, spec.reduce_lr_on_plateau is not None
    recorded = recorded_metrics(spec.metrics, validated=is_validated, rate_changes=rate_changes)
    if chosen not in recorded:
        refuse_parameter("metric", chosen, f"its trials record: {', '.join(recorded)}")
    etag = etag_of(view.version, chosen)
    if is_known(request, etag):
        return not_modified(etag)
    trials, _ = service.list_trials(experiment_id)
    best = {trial.id: trial.best_epoch.epoch for trial in trials if trial.best_epoch is not None}
    curves = [
        Curve(history.label, _column(history.history, chosen), best.get(history.trial_id))
        for history in service.get_experiment_history(experiment_id).trials
    ]
    picture = draw_curves(view.name, chosen, curves)
    return Response(picture, media_type="image/svg+xml", headers={"ETag": etag, "Cache-Control": "no-cache"})


def _column(history: History, metric: str) -> list[tuple[int, float]]:
    """The points of a metric that can be drawn from: epoch and value, NaN and infinities among them."""
    values = history.get(metric, [])
    return [
        (int(epoch or 0), float(value))
        for epoch, value in zip(history["epoch"], values, strict=False)
        if value is not None
    ]


@router.post(
    "/{experiment_id}/cancel",
    status_code=202,
    operation_id="cancel_experiment",
    responses=problem_responses(404, 503),
)
def cancel(experiment_id: ExperimentId, service: ServiceDependency) -> schemas.CancelView:
    """Cancel what is queued, and ask what runs to stop at the end of its epoch. Again changes nothing."""
    return service.cancel_experiment(experiment_id)


@router.post(
    "/{experiment_id}/pause",
    status_code=202,
    operation_id="pause_experiment",
    responses=problem_responses(404, 409, 503),
)
def pause(experiment_id: ExperimentId, service: ServiceDependency) -> schemas.ExperimentView:
    """Begin nothing more of it; what runs is saved and put back at the end of its epoch. Again changes nothing."""
    return service.pause_experiment(experiment_id)


@router.post(
    "/{experiment_id}/resume",
    status_code=202,
    operation_id="resume_experiment",
    responses=problem_responses(404, 503),
)
def resume(experiment_id: ExperimentId, service: ServiceDependency) -> schemas.ExperimentView:
    """Go on where it was paused. Again changes nothing."""
    return service.resume_experiment(experiment_id)


@router.delete(
    "/{experiment_id}", status_code=204, operation_id="delete_experiment", responses=problem_responses(404, 503)
)
def delete(experiment_id: ExperimentId, service: ServiceDependency) -> None:
    """Remove an experiment, its trials, epochs and files, for good. What it has in training ends."""
    service.delete_experiment(experiment_id)
