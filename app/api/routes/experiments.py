"""Experiments: submit, plan, list, read, cancel, pause, resume, delete."""

import datetime as dt
import re
from typing import Annotated

from anyio import to_thread
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
from app.api.strict_route import SMALL_BYTES, StrictRoute, described_body, received
from app.examples import example_documents
from app.services.extensions import extended_spec, refused_extension
from app.services.reads.cached_reads import experiment_etag
from app.services.reads.response_cache import JSON
from fittingroom.specs.experiment import ExperimentSpec, Name, Tag
from fittingroom.specs.extension import Extension
from fittingroom.specs.faults import InvalidSpec
from fittingroom.views import resources
from fittingroom.views.states import ExperimentState
from fittingroom.views.submissions import PlanView
from models.sql.experiment_list import Filters, Sort
from models.sql.plans.submissions import Accepted

router = APIRouter(prefix="/v1/experiments", tags=["experiments"], route_class=StrictRoute)


def _from_text(text: str) -> dt.datetime:
    """Accept a time in RFC 3339 format only; Python would accept others."""
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
        description="Unique text per experiment. A repeated submit with the same key within 24 hours gets the answer "
        "of the first one and creates no second experiment.",
    ),
]


@router.post(
    "",
    status_code=202,
    operation_id="submit_experiment",
    response_model=resources.ExperimentView,
    responses=problem_responses(408, 413, 415, 422, 503, 507),
)
async def submit(
    spec: SpecBody, service: SubmitService, request: Request, idempotency_key: IdempotencyKey = None
) -> Response:
    """Submit an experiment. It is validated, expanded into trials, stored and queued.

    After the answer 202 it is never lost: it trains as soon as a worker is free.
    """
    is_small = len(await request.body()) <= SMALL_BYTES
    return _submitted(*await service.submit(spec, idempotency_key, is_small=is_small))


def _submitted(view: resources.ExperimentView, accepted: Accepted, served: frozenset[str]) -> Response:
    headers = {
        "Location": f"/v1/experiments/{view.id}",
        "ETag": experiment_etag(view.version, served),
        **({"Idempotent-Replayed": "true"} if accepted.is_repeated else {}),
    }
    return Response(view.model_dump_json(), status_code=202, media_type=JSON, headers=headers)


@router.post(
    "/{experiment_id}/extend",
    status_code=202,
    operation_id="extend_experiment",
    response_model=resources.ExperimentView,
    responses=problem_responses(404, 408, 409, 413, 415, 422, 503, 507),
    openapi_extra=described_body(Extension),
)
async def extend(
    experiment_id: ExperimentId, service: SubmitService, request: Request, idempotency_key: IdempotencyKey = None
) -> Response:
    """Go on from an experiment that has ended, as a new experiment: more epochs for its best, or more trials."""
    extension = await received(request, Extension)
    spec = await to_thread.run_sync(extended_spec, service, experiment_id, extension)
    try:
        return _submitted(*await service.submit(spec, idempotency_key))
    except InvalidSpec as refused:
        raise refused_extension(refused) from None


@router.post("/plan", operation_id="plan_experiment", responses=problem_responses(408, 413, 415, 422, 503))
def plan(spec: SpecBody, service: ReadService) -> PlanView:
    """Return the trials, cohorts and engines that an experiment would have (dry run). Stores nothing."""
    return service.plan(spec)


@router.get("", operation_id="list_experiments", responses=problem_responses(422, 503))
def list_experiments(  # noqa: PLR0913 - a query's parameters
    service: ReadService,
    request: Request,
    response: Response,
    *,
    limit: Annotated[int, Query(ge=1, le=100, description="Maximum number of items.")] = 20,
    cursor: Annotated[str | None, Query(max_length=1_000, description="`next_cursor` of the previous page.")] = None,
    sort: Annotated[Sort, Query(description="Sort key; `-` for descending order.")] = "-created_at",
    state: Annotated[ExperimentState | None, Query(description="Filter by state.")] = None,
    name: Annotated[Name | None, Query(description="Filter by exact name.")] = None,
    tag: Annotated[Tag | None, Query(description="Filter by tag.")] = None,
    dataset: Annotated[Name | None, Query(description="Filter by dataset.")] = None,
    created_after: Annotated[Time | None, Query(description="Filter: created after this time (RFC 3339).")] = None,
    created_before: Annotated[Time | None, Query(description="Filter: created before this time (RFC 3339).")] = None,
) -> resources.ListView[resources.ExperimentSummaryView]:
    """List experiments, newest first. `Link` and `next_cursor` lead to the next page."""
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
    """Return the state of an experiment, its progress, and the best trial so far."""
    if wait:
        known = version if version is not None else known_version(request)
        await waited(request, caller, "experiment", experiment_id, known, wait)
    return answered(request, await reading_of(request).experiment(caller.project, experiment_id))


@router.get(
    "/{experiment_id}/trials",
    operation_id="list_trials",
    response_model=resources.ListView[resources.TrialSummaryView],
    responses=UNCHANGED | problem_responses(404, 503),
)
async def list_trials(experiment_id: ExperimentId, caller: ReadingKey, request: Request) -> Response:
    """List all trials of an experiment by number."""
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
        int, Query(ge=0, le=MAX_VERSION, description="Return only changes after this version.")
    ] = 0,
    points: Points = None, wait: WaitSeconds = 0.0,
) -> Response:  # fmt: skip
    """Return the histories of all trials, as JSON, or as CSV with `Accept: text/csv`.

    With `after`, only trials changed since that version and their epochs since; with `wait` as well, as soon as there
    are any (long poll). Long answers are streamed; an incomplete one means that the experiment was deleted meanwhile.
    """
    if wait:
        known = after if "after" in request.query_params else known_version(request)
        await waited(request, caller, "experiment", experiment_id, known, wait)
    history = await reading_of(request).experiment_history(
        caller.project, experiment_id, after, points=points, as_csv=wants_csv(request)
    )
    return answered(request, history)


@router.get("/{experiment_id}/webhook", operation_id="get_webhook", responses=problem_responses(404, 503))
def get_webhook(experiment_id: ExperimentId, service: ReadService) -> resources.WebhookView:
    """Return the delivery status of an experiment's webhook, and the receiver's last answer."""
    return service.get_webhook(experiment_id)


@router.post(
    "/{experiment_id}/cancel",
    status_code=202,
    operation_id="cancel_experiment",
    responses=problem_responses(404, 503),
)
def cancel(experiment_id: ExperimentId, service: SubmitService) -> resources.CancelView:
    """Cancel an experiment: queued trials at once, running trials at the end of their epoch. Idempotent."""
    return service.cancel_experiment(experiment_id)


@router.post(
    "/{experiment_id}/pause",
    status_code=202,
    operation_id="pause_experiment",
    responses=problem_responses(404, 409, 503),
)
def pause(experiment_id: ExperimentId, service: SubmitService) -> resources.ExperimentView:
    """Pause an experiment: no trial starts, and running ones are saved and requeued after their epoch. Idempotent."""
    return service.pause_experiment(experiment_id)


@router.post(
    "/{experiment_id}/resume",
    status_code=202,
    operation_id="resume_experiment",
    responses=problem_responses(404, 503),
)
def resume(experiment_id: ExperimentId, service: SubmitService) -> resources.ExperimentView:
    """Resume a paused experiment. Idempotent."""
    return service.resume_experiment(experiment_id)


@router.delete(
    "/{experiment_id}", status_code=204, operation_id="delete_experiment", responses=problem_responses(404, 503)
)
def delete(experiment_id: ExperimentId, service: AdminService) -> None:
    """Delete an experiment, its trials, epochs and files permanently. Running trials are stopped."""
    service.delete_experiment(experiment_id)
