"""Problem documents (RFC 9457): one place that turns whatever went wrong into an answer a client can use."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.routing import Match

from app.api.security_headers import SECURITY_HEADERS
from fittingroom.specs.faults import Fault, InvalidSpec
from fittingroom.specs.limits import MAX_FAULTS
from fittingroom.views.resources import Problem
from models.disk_reserve import NO_ROOM
from models.errors import DatabaseUnavailableError, FittingRoomError, KeyReusedError, UnforeseenError

MEDIA_TYPE = "application/problem+json"

_log = structlog.get_logger()

Responses = dict[int | str, dict[str, Any]]
"""Responses of a route, for its OpenAPI entry."""

_DESCRIPTIONS = {
    401: "A valid key is needed.",
    403: "The key does not allow this.",
    404: "There is no such resource.",
    409: "The resource is in a state in which this cannot be done; nothing was changed.",
    408: "The body took too long to come.",
    413: "The body is larger than the service takes.",
    415: "The body is compressed, or of a kind that is not taken.",
    422: "Something in the request is not as expected; nothing was changed.",
    429: "More than the key may ask for; try again after `Retry-After` seconds.",
    431: "The request's line and headers are longer than the service takes.",
    507: "There is no room: the project keeps as much as it may, or the disk is full.",
    503: "The database does not answer; try again after `Retry-After` seconds.",
}


_DETAILS = {
    404: "there is nothing at this path; /docs shows the paths there are",
    405: "this path does not take {}; the header Allow names what it takes",
}


def problem_responses(*statuses: int) -> Responses:
    """Return OpenAPI entries of the problems that a route can answer with."""
    everywhere = (401, 403, 429)  # what may be answered wherever a key is asked for
    return {status: {"model": Problem, "description": _DESCRIPTIONS[status]} for status in (*everywhere, *statuses)}


def problem_response(
    path: str, status: int, detail: str, faults: list[Fault] | None = None, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Return a problem document."""
    problem = Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        instance=path,
        errors=(faults or [])[:MAX_FAULTS],
    )
    content = problem.model_dump(mode="json")
    return JSONResponse(content, status_code=status, headers=headers, media_type=MEDIA_TYPE)


def install_error_handlers(app: FastAPI) -> None:
    """Make every error of the application a problem document."""

    @app.exception_handler(RequestValidationError)
    async def _(request: Request, error: RequestValidationError) -> JSONResponse:
        return _invalid(request, _request_faults(error))

    @app.exception_handler(InvalidSpec)
    async def _(request: Request, error: InvalidSpec) -> JSONResponse:
        return _invalid(request, error.faults)

    @app.exception_handler(FittingRoomError)
    async def _(request: Request, error: FittingRoomError) -> JSONResponse:
        return own_problem(request, error)

    @app.exception_handler(HTTPException)
    async def _(request: Request, error: HTTPException) -> JSONResponse:
        headers = dict(error.headers) if error.headers else {}
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            # Starlette names the methods of the first route of a path only.
            headers["Allow"] = _allowed(request)
        detail = _DETAILS.get(error.status_code, str(error.detail)).format(request.method)
        return problem_response(request.url.path, error.status_code, detail, headers=headers)

    @app.exception_handler(OSError)
    async def _(request: Request, error: OSError) -> JSONResponse:
        if error.errno not in NO_ROOM:
            raise error
        _log.warning("no_room", path=request.url.path, error=f"{error.strerror}: {error.filename}")
        detail = (
            f"the service has no room for this: {error.strerror}; delete experiments or datasets that are no longer "
            "needed, or let its operator free the disk"
        )
        return problem_response(request.url.path, 507, detail)

    @app.exception_handler(Exception)
    async def _(request: Request, error: Exception) -> JSONResponse:
        _log.error("unexpected_error", path=request.url.path, exc_info=error)
        # No middleware sees it.
        return problem_response(request.url.path, 500, str(UnforeseenError()), headers=SECURITY_HEADERS)


def _allowed(request: Request) -> str:
    """Return the value of the header `Allow`: the methods of the routes with this very path, or of all that match."""
    found = [r for r in iter_route_contexts(request.app.routes) if r.matches(request.scope)[0] != Match.NONE]
    exact = [route for route in found if route.path == request.url.path]  # `/plan` is no experiment's id
    return ", ".join(sorted({method for route in exact or found for method in route.methods or ()}))


def own_problem(request: Request, error: FittingRoomError) -> JSONResponse:
    """Return the problem document of one of our own errors."""
    if isinstance(error, DatabaseUnavailableError):
        _log.warning("database_unavailable", error=error.reason)
    if isinstance(error, KeyReusedError):
        return _invalid(request, [Fault(pointer="Idempotency-Key", detail=str(error))])
    headers = dict(error.headers)
    if error.retry_after_seconds is not None:
        headers["Retry-After"] = str(error.retry_after_seconds)
    return problem_response(request.url.path, error.status, str(error), headers=headers)


def _invalid(request: Request, faults: list[Fault]) -> JSONResponse:
    first = faults[0]
    rest = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    detail = f"{first.pointer or 'the document'}: {first.detail}{rest}"
    return problem_response(request.url.path, 422, detail, faults)


def _request_faults(error: RequestValidationError) -> list[Fault]:
    """Faults of paths, queries and headers, named by their parameter; those of bodies are found by `StrictRoute`."""
    faults: list[Fault] = []
    for found in error.errors():
        source, *location = found["loc"]
        name = str(location[0]) if location else str(source)
        faults.append(
            Fault(pointer=name, detail=f"{source} parameter: {found['msg']}", found=repr(found["input"])[:80])
        )
    return list({(fault.pointer, fault.detail): fault for fault in faults}.values())
