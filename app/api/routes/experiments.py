"""Experiments: submit, plan, list, read, cancel, pause, resume, delete."""

import datetime as dt
import re
from typing import Annotated

from fastapi import APIRouter, Body, Header, Query, Request, Response
from pydantic import BeforeValidator

from app.api.conditional_requests import (
    AS_CSV,
    MAX_VERSION,
    UNCHANGED,
    Points,
    Version,
    WaitSeconds,
    answered,
    from_cursor,
    known_version,
    link_to,
    to_cursor,
    wants_csv,
)
from app.api.dependencies import AdminService, ExperimentId, ReadingKey, ReadService, SubmitService, reading_of, waited
from app.api.problems import problem_responses
from app.api.strict_route import StrictRoute
from app.examples import example_documents
from app.services.cached_reads import experiment_etag
from fittingroom.specs.experiment import ExperimentSpec, Name, Tag
from fittingroom.views import resources
from fittingroom.views.states import ExperimentState
from fittingroom.views.submissions import PlanView
from models.sql.experiment_list import Filters, Sort

router = APIRouter(prefix="/v1/experiments", tags=["experiments"], route_class=StrictRoute)


def _from_text(text: str) -> dt.datetime:
    """A time as RFC 3339 writes it, and nothing else that Python would take for one."""
    if re.fullmatch(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", text) is None:
        raise ValueError("expected a time with its zone, such as 2026-11-24T08:00:00Z")
    try:
        return dt.datetime.fromisoformat(text.upper()).astimezone(dt.UTC)
    except OverflowError:
        raise ValueError("in UTC it would be before the year 1 or after the year 9999") from None


_EXAMPLES = {name: {"summary": document["name"], "value": document} for name, document in example_documents().items()}
SpecBody = Annotated[ExperimentSpec, Body(openapi_examples=_EXAMPLES)]
Time = Annotated[dt.datetime, BeforeValidator(_from_text)]


IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="Any text of your own, new for each experiment. The same submit under the same key, within 24 "
        "hours, is answered as the first one was and makes no second experiment.",
    ),
]


@router.post(
    "", status_code=202, operation_id="submit_experiment", responses=problem_responses(408, 413, 415, 422, 503, 507)
)
async def submit(
    spec: SpecBody, service: SubmitService, response: Response, idempotency_key: IdempotencyKey = None
) -> resources.ExperimentView:
    """Submit an experiment: it is checked, expanded into trials, stored and queued.

    What is answered 202 is never lost: it trains as soon as a worker is free.
    """
    view, is_repeated = await service.submit(spec, idempotency_key)
    response.headers["Location"] = f"/v1/experiments/{view.id}"
    response.headers["ETag"] = experiment_etag(view.version, service.list_served_queues())
    if is_repeated:
        response.headers["Idempotent-Replayed"] = "true"
    return view


@router.post("/plan", operation_id="plan_experiment", responses=problem_responses(408, 413, 415, 422, 503))
def plan(spec: SpecBody, service: ReadService) -> PlanView:
    """Say which trials and cohorts an experiment would have, and what would train them. Stores nothing."""
    return service.plan(spec)


@router.get("", operation_id="list_experiments", responses=problem_responses(422, 503))
def list_experiments(  # noqa: PLR0913 - a query's parameters
    service: ReadService,
    request: Request,
    response: Response,
    *,
    limit: Annotated[int, Query(ge=1, le=100, description="At most so many.")] = 20,
    cursor: Annotated[str | None, Query(max_length=1_000, description="`next_cursor` of the page before.")] = None,
    sort: Annotated[Sort, Query(description="What comes first; `-` turns it around.")] = "-created_at",
    state: Annotated[ExperimentState | None, Query(description="Only those in this state.")] = None,
    name: Annotated[Name | None, Query(description="Only those with exactly this name.")] = None,
    tag: Annotated[Tag | None, Query(description="Only those with this tag.")] = None,
    dataset: Annotated[Name | None, Query(description="Only those on this dataset.")] = None,
    created_after: Annotated[Time | None, Query(description="Only those created later, RFC 3339.")] = None,
    created_before: Annotated[Time | None, Query(description="Only those created earlier, RFC 3339.")] = None,
) -> resources.ListView[resources.ExperimentSummaryView]:
    """Experiments, newest first. `Link` and `next_cursor` lead to the next page."""
    after = from_cursor(cursor, sort) if cursor is not None else None
    filters = Filters(None, state, name, tag, dataset, created_after, created_before)
    items, ended_at = service.list_experiments(filters, limit, sort, after)
    next_cursor = None if ended_at is None else to_cursor(sort, ended_at)
    if next_cursor is not None:
        response.headers["Link"] = link_to(request, next_cursor)
    return resources.ListView(items=items, next_cursor=next_cursor)


@router.get(
    "/{experiment_id}",
    operation_id="get_experiment",
    response_model=resources.ExperimentView,
    responses=UNCHANGED | problem_responses(404, 422, 503),
)
async def get_experiment(
    experiment_id: ExperimentId, caller: ReadingKey, request: Request,
    wait: WaitSeconds = 0.0, version: Version = None,
) -> Response:  # fmt: skip
    """Where an experiment is: state, progress, the best trial so far."""
    if wait:
        known = version if version is not None else known_version(request)
        await waited(request, caller, experiment_id, known, wait)
    return answered(request, await reading_of(request).experiment(caller.project, experiment_id))


@router.get(
    "/{experiment_id}/trials",
    operation_id="list_trials",
    response_model=resources.ListView[resources.TrialSummaryView],
    responses=UNCHANGED | problem_responses(404, 503),
)
async def list_trials(experiment_id: ExperimentId, caller: ReadingKey, request: Request) -> Response:
    """An experiment's trials, all of them, by number."""
    return answered(request, await reading_of(request).trials(caller.project, experiment_id))


@router.get(
    "/{experiment_id}/history",
    operation_id="get_experiment_history",
    response_model=resources.ExperimentHistoryView,
    responses=AS_CSV | UNCHANGED | problem_responses(404, 422, 503),
)
async def get_history(
    experiment_id: ExperimentId, caller: ReadingKey, request: Request,
    after: Annotated[
        int, Query(ge=0, le=MAX_VERSION, description="Only what was written after this version.")
    ] = 0,
    points: Points = None, wait: WaitSeconds = 0.0,
) -> Response:  # fmt: skip
    """The histories of all trials, as JSON, or as CSV with `Accept: text/csv`.

    With `after`, the trials that have changed since, and their epochs since; with `wait` as well, as soon as there are
    some. A long answer is sent as it is read; if it breaks off, the experiment was deleted meanwhile.
    """
    if wait:
        known = after if "after" in request.query_params else known_version(request)
        await waited(request, caller, experiment_id, known, wait)
    history = await reading_of(request).experiment_history(
        caller.project, experiment_id, after, points=points, as_csv=wants_csv(request)
    )
    return answered(request, history)


@router.get("/{experiment_id}/webhook", operation_id="get_webhook", responses=problem_responses(404, 503))
def get_webhook(experiment_id: ExperimentId, service: ReadService) -> resources.WebhookView:
    """Whether the end of an experiment was told to whom its spec says, and what they answered."""
    return service.get_webhook(experiment_id)


@router.post(
    "/{experiment_id}/cancel",
    status_code=202,
    operation_id="cancel_experiment",
    responses=problem_responses(404, 503),
)
def cancel(experiment_id: ExperimentId, service: SubmitService) -> resources.CancelView:
    """Cancel what is queued, and ask what runs to stop at the end of its epoch. Again changes nothing."""
    return service.cancel_experiment(experiment_id)


@router.post(
    "/{experiment_id}/pause",
    status_code=202,
    operation_id="pause_experiment",
    responses=problem_responses(404, 409, 503),
)
def pause(experiment_id: ExperimentId, service: SubmitService) -> resources.ExperimentView:
    """Begin nothing more of it; what runs is saved and put back at the end of its epoch. Again changes nothing."""
    return service.pause_experiment(experiment_id)


@router.post(
    "/{experiment_id}/resume",
    status_code=202,
    operation_id="resume_experiment",
    responses=problem_responses(404, 503),
)
def resume(experiment_id: ExperimentId, service: SubmitService) -> resources.ExperimentView:
    """Go on where it was paused. Again changes nothing."""
    return service.resume_experiment(experiment_id)


@router.delete(
    "/{experiment_id}", status_code=204, operation_id="delete_experiment", responses=problem_responses(404, 503)
)
def delete(experiment_id: ExperimentId, service: AdminService) -> None:
    """Remove an experiment, its trials, epochs and files, for good. What it has in training ends."""
    service.delete_experiment(experiment_id)
