"""Artifacts: download a network, read its summary, predict with it."""

from pathlib import Path
from typing import Annotated

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter
from fastapi.responses import FileResponse, PlainTextResponse
from pydantic import Field
from starlette.background import BackgroundTask

from app.api.dependencies import ReadService, TrialId
from app.api.problems import Responses, problem_responses
from app.api.strict_route import StrictRoute
from fittingroom.specs.base import Real, Spec
from fittingroom.views import resources

router = APIRouter(prefix="/v1/trials", tags=["trials"], route_class=StrictRoute)

MAX_ROWS = 10_000
_ASKING = CapacityLimiter(1)
"""One question at a time: others wait for their turn without keeping a thread."""
_KERAS = "application/x-keras"
_FILE: Responses = {
    200: {"content": {_KERAS: {"schema": {"type": "string", "format": "binary"}}}, "description": "A `.keras` file."}
}
_TEXT: Responses = {200: {"content": {"text/plain": {"example": 'Model: "sequential" …'}}, "description": "A text."}}


class PredictBody(Spec):
    """Rows to predict."""

    rows: Annotated[
        list[Annotated[list[Real | None], Field(min_length=1, max_length=1_000_000)]],
        Field(min_length=1, max_length=MAX_ROWS, examples=[[[3, 22, 1, 0, 7.25, 1, 0, 0, 0, 1]]]),
    ]
    """Each row's features in the order of the dataset's `feature_names`, not standardized; null where one is
    missing."""


@router.get(
    "/{trial_id}/summary",
    operation_id="get_trial_summary",
    response_class=PlainTextResponse,
    responses=_TEXT | problem_responses(404, 409, 503),
)
def get_summary(trial_id: TrialId, service: ReadService) -> str:
    """What Keras's `model.summary()` prints of a trial's network."""
    return service.artifacts.get_summary(trial_id)


@router.get(
    "/{trial_id}/artifact",
    operation_id="get_trial_artifact",
    response_class=FileResponse,
    responses=_FILE | problem_responses(404, 409, 503),
)
async def get_artifact(trial_id: TrialId, service: ReadService) -> FileResponse:
    """Download a completed trial's network with the weights of its best epoch: `keras.saving.load_model` opens it.

    Where the dataset was standardized, the file begins with the layer that does it, so that it takes rows as the
    dataset has them.
    """
    file: Path = await to_thread.run_sync(service.artifacts.save, trial_id, limiter=_ASKING)
    return FileResponse(file, media_type=_KERAS, filename=f"{trial_id}.keras", background=BackgroundTask(file.unlink))


@router.post(
    "/{trial_id}/predict", operation_id="predict", responses=problem_responses(404, 408, 409, 413, 415, 422, 503)
)
async def predict(trial_id: TrialId, body: PredictBody, service: ReadService) -> resources.PredictView:
    """Let a completed trial's network, with the weights of its best epoch, say what rows are."""
    return await to_thread.run_sync(service.artifacts.predict, trial_id, body.rows, limiter=_ASKING)
