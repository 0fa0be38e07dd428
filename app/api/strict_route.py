"""Routes that authenticate before they read the body, and refuse unknown parameters."""

import re
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, NoReturn, TypeVar, cast, get_origin

from anyio import CapacityLimiter, to_thread
from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from app.api.authentication import Admission
from app.api.request_bodies import Bodies
from fittingroom.specs.faults import Fault, InvalidSpec, faults_in, faults_of
from fittingroom.specs.hints import nearest_hint
from fittingroom.specs.limits import MAX_BODY_BYTES
from fittingroom.specs.strict_json import InvalidJsonError, read_json
from models.sql.api_keys import ApiKey

_READ_AT_ONCE = CapacityLimiter(2)
"""Documents that are read at once: each holds Python's lock for some milliseconds at a time."""
SMALL_BYTES = 4_096
"""Size up to which a body is read on the event loop: a thread would take longer to start."""


class _ReadRequest(Request):
    """A request whose body has been received and read: FastAPI finds the document made already."""

    def __init__(self, request: Request, body: bytes, document: Any) -> None:  # noqa: ANN401 - the route's own type
        super().__init__(request.scope, request.receive)
        self._body_bytes, self._document = body, document

    async def body(self) -> bytes:
        """Return the raw body."""
        return self._body_bytes

    async def json(self) -> Any:  # noqa: ANN401 - the route's own type
        """Return the document, valid."""
        return self._document


class StrictRoute(APIRoute):
    """A route that admits its caller, then looks at the query's names, then receives and reads the body."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's own way to stand before a route."""
        handler = super().get_route_handler()
        known = [field.alias for field in self.dependant.query_params]
        repeatable = {
            field.alias for field in self.dependant.query_params if get_origin(field.field_info.annotation) is Sequence
        }
        admission = find_admission(self.dependant)

        async def handle(request: Request) -> Response:
            if admission is not None:
                await admission.authenticate(request)
            if request.scope["query_string"]:
                for name in request.query_params:
                    if name not in known:
                        _refuse_unknown(name, known)
                    if name not in repeatable and len(request.query_params.getlist(name)) > 1:
                        refuse_parameter(name, name, "given twice; give it once")
            if self.body_field is None:
                return await handler(request)
            refuse_other_media(request)
            async with gathered(request, MAX_BODY_BYTES) as body:
                if len(body) <= SMALL_BYTES:
                    document = self._read(body)
                else:
                    document = await to_thread.run_sync(self._read, body, limiter=_READ_AT_ONCE)
                return await handler(_ReadRequest(request, body, document))

        return handle

    def _read(self, body: bytes) -> Any:  # noqa: ANN401 - the route's own type
        """Return a document of the type that the route wants.

        Raises:
            InvalidSpec: it is none.
        """
        assert self.body_field is not None  # noqa: S101 - for mypy
        if not body:
            raise InvalidSpec([Fault(pointer="", detail="a JSON document is required, and the body is empty")])
        try:
            document = read_json(body)
        except InvalidJsonError as error:
            raise InvalidSpec([Fault(pointer="", detail=f"invalid JSON: {error}")]) from None
        value, errors = self.body_field.validate(document, {}, loc=())
        if errors:
            raise InvalidSpec(faults_of(cast("list[ErrorDetails]", errors), document))
        return value


def find_admission(dependant: Dependant) -> Admission | None:
    """Return the admission check of a route, or None if it has none."""
    if isinstance(dependant.call, Admission):
        return dependant.call
    return next(filter(None, map(find_admission, dependant.dependencies)), None)


def gathered(request: Request, max_bytes: int) -> AbstractAsyncContextManager[bytes]:
    """Receive the body of an admitted request; see `Bodies.gather`."""
    bodies: Bodies = request.app.state.bodies
    caller: ApiKey = request.state.caller
    return bodies.gather(request, max_bytes, caller.project)


_Document = TypeVar("_Document", bound=BaseModel)


async def received(request: Request, kind: type[_Document]) -> _Document:
    """Receive a small document of a route that FastAPI knows no body of: its validator is made when it is needed.

    Raises:
        InvalidSpec: it is none.
    """
    refuse_other_media(request)
    async with gathered(request, MAX_BODY_BYTES) as body:
        try:
            document = read_json(body)
        except InvalidJsonError as error:
            raise InvalidSpec([Fault(pointer="", detail=f"invalid JSON: {error}")]) from None
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        raise InvalidSpec(faults_in(error, document)) from None


def described_body(kind: type[BaseModel]) -> dict[str, Any]:
    """Return the part of an operation's schema that describes a body which FastAPI does not know."""
    schema = {"$ref": f"#/components/schemas/{kind.__name__}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


_JSON_KIND = re.compile(r"application/(json|[^/\s]+\+json)")
"""Media types of JSON documents (RFC 6839)."""


def refuse_other_media(request: Request) -> None:
    """Refuse a body that is not sent as JSON."""
    sent = request.headers.get("content-type", "")
    kind = sent.split(";")[0].strip().lower()
    if not _JSON_KIND.fullmatch(kind):
        detail = "expected a JSON document, sent with the header Content-Type: application/json"
        raise InvalidSpec([Fault(pointer="", detail=detail, found=f"Content-Type: {sent}"[:100])])


def refuse_parameter(name: str, found: str, message: str) -> NoReturn:
    """Refuse a query parameter for a reason that its type cannot express."""
    raise RequestValidationError([{"type": "refused", "loc": ("query", name), "msg": message, "input": found}])


def _refuse_unknown(name: str, known: list[str]) -> NoReturn:
    known_here = f"known here: {', '.join(known)}" if known else "none is known here"
    refuse_parameter(
        name[:80], name, f"there is no such parameter; {nearest_hint(name, known, cutoff=0.5)}{known_here}"
    )
