"""Bulk submit: thousands of experiments in one call."""

import tempfile
from collections.abc import Iterator
from typing import IO, Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse

from app.api.dependencies import SubmitService
from app.api.problems import Responses, problem_responses
from app.api.request_bodies import spool
from app.api.strict_route import StrictRoute
from app.examples import example_documents
from app.services.batches import CHUNK, MAX_ITEMS, MAX_TOGETHER, Batch, submit_each, submit_together
from fittingroom.specs.faults import Fault, InvalidSpec
from fittingroom.views.submissions import BatchItemView, BatchView

router = APIRouter(prefix="/v1/experiments", tags=["experiments"], route_class=StrictRoute)

NDJSON = "application/x-ndjson"
MAX_BATCH_BYTES = 256 * 1024**2
_IN_MEMORY = 256 * 1024

_EXAMPLE = {"index": 0, "status": 202, "id": "exp_…", "location": "/v1/experiments/exp_…"}
_ANSWERS: Responses = {
    200: {"model": BatchView, "content": {NDJSON: {"schema": {"type": "string"}, "example": str(_EXAMPLE)}}}
}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"type": "array", "items": {"$ref": "#/components/schemas/ExperimentSpec"}},
                "example": list(example_documents().values())[:2],
            },
            NDJSON: {"schema": {"type": "string"}},
        },
    }
}


@router.post(
    "/batch",
    operation_id="submit_batch",
    responses=_ANSWERS | problem_responses(408, 413, 415, 422, 503, 507),
    openapi_extra=_BODY,
    response_class=Response,
    description=f"""\
Submit up to {MAX_ITEMS:,} experiments: a JSON array, or one document per line (`{NDJSON}`). The answer has one result
per experiment, in order, with the status that a submit of its own would have had; with `Accept: {NDJSON}`, one result
per line as they are stored. With `atomic=true` (up to {MAX_TOGETHER:,}), all are stored or none. An `Idempotency-Key`
makes the call safe to repeat, also after a broken connection.""",
)
async def submit_batch(
    request: Request,
    service: SubmitService,
    *,
    atomic: Annotated[bool, Query(description="Store all experiments or none.")] = False,
    idempotency_key: Annotated[
        str | None, Header(alias="Idempotency-Key", min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$")
    ] = None,
) -> Response:
    """Submit many experiments."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind not in {"application/json", NDJSON}:
        detail = f"expected a JSON array, sent as application/json, or one document a line, sent as {NDJSON}"
        raise InvalidSpec([Fault(pointer="", detail=detail, found=f"Content-Type: {kind}"[:100])])
    file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - closed when all is answered
    try:
        await spool(request, file, MAX_BATCH_BYTES, service.datasets.temporary_dir)
        batch = Batch(file, kind == NDJSON, idempotency_key)
        await to_thread.run_sync(batch.refuse_unreadable)
        items = await to_thread.run_sync(submit_together, service, batch) if atomic else submit_each(service, batch)
    except BaseException:
        file.close()
        raise
    as_lines = NDJSON in request.headers.get("accept", "")
    answer = _as_lines(items, file) if as_lines else _as_document(items, file)
    return StreamingResponse(answer, media_type=NDJSON if as_lines else "application/json")


def _as_lines(items: Iterator[BatchItemView], file: IO[bytes]) -> Iterator[bytes]:
    with file:
        for item in items:
            yield item.model_dump_json(exclude_none=True).encode() + b"\n"


def _as_document(items: Iterator[BatchItemView], file: IO[bytes]) -> Iterator[bytes]:
    accepted = refused = 0
    pieces: list[bytes] = [b'{"items":[']
    with file:
        for item in items:
            accepted, refused = accepted + (item.status == 202), refused + (item.status != 202)
            pieces.append((b"," if accepted + refused > 1 else b"") + item.model_dump_json(exclude_none=True).encode())
            if len(pieces) >= CHUNK:
                yield b"".join(pieces)
                pieces.clear()
    yield b"".join(pieces) + f'],"accepted":{accepted},"refused":{refused}}}'.encode()
