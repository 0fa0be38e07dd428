"""Artifacts: download a network, read its summary, predict with it."""

from pathlib import Path

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, PlainTextResponse
from starlette.background import BackgroundTask

from app.api.dependencies import ReadService, TrialId
from app.api.problems import Responses, problem_responses
from app.api.strict_route import StrictRoute, described_body, gathered, received, refuse_other_media
from fittingroom.specs.experiment import EvaluateBody
from fittingroom.specs.prediction import MAX_PREDICT_BYTES, PredictBody
from fittingroom.views import resources

router = APIRouter(prefix="/v1/trials", tags=["trials"], route_class=StrictRoute)

_ASKING = CapacityLimiter(1)
"""One prediction at a time; others wait without holding a thread."""
_KERAS = "application/x-keras"
_FILE: Responses = {
    200: {"content": {_KERAS: {"schema": {"type": "string", "format": "binary"}}}, "description": "A `.keras` file."}
}
_TEXT: Responses = {200: {"content": {"text/plain": {"example": 'Model: "sequential" …'}}, "description": "A text."}}


@router.get(
    "/{trial_id}/summary",
    operation_id="get_trial_summary",
    response_class=PlainTextResponse,
    responses=_TEXT | problem_responses(404, 409, 503),
)
def get_summary(trial_id: TrialId, service: ReadService) -> str:
    """Return the output of Keras's `model.summary()` for a trial's network."""
    return service.artifacts.get_summary(trial_id)


@router.get(
    "/{trial_id}/artifact",
    operation_id="get_trial_artifact",
    response_class=FileResponse,
    responses=_FILE | problem_responses(404, 409, 503),
)
async def get_artifact(trial_id: TrialId, service: ReadService) -> FileResponse:
    """Download the trained network of a completed trial, with the weights of its best epoch.

    The file opens with `keras.saving.load_model`. If the dataset was standardized, the network begins with the
    normalization layer, so it takes rows as they are in the dataset.
    """
    file: Path = await to_thread.run_sync(service.artifacts.save, trial_id, limiter=_ASKING)
    return FileResponse(file, media_type=_KERAS, filename=f"{trial_id}.keras", background=BackgroundTask(file.unlink))


@router.post(
    "/{trial_id}/predict",
    operation_id="predict",
    responses=problem_responses(404, 408, 409, 413, 415, 422, 503),
    openapi_extra=described_body(PredictBody),
)
async def predict(trial_id: TrialId, service: ReadService, request: Request) -> resources.PredictView:
    """Predict with the network of a completed trial, using the weights of its best epoch."""
    trained = await to_thread.run_sync(service.artifacts.find_trained, trial_id)
    refuse_other_media(request)
    # Megabytes of numbers are read by the process that predicts: here they would hold up everybody.
    async with gathered(request, MAX_PREDICT_BYTES) as body:
        return await to_thread.run_sync(service.artifacts.predict, trained, body, limiter=_ASKING)


@router.post(
    "/{trial_id}/evaluate",
    operation_id="evaluate",
    responses=problem_responses(404, 408, 409, 413, 415, 422, 503),
    openapi_extra=described_body(EvaluateBody),
)
async def evaluate(trial_id: TrialId, service: ReadService, request: Request) -> resources.EvaluationView:
    """Measure the network of a completed trial on another dataset, or on the rows that `fit.test_split` set aside."""
    trained = await to_thread.run_sync(service.artifacts.find_trained, trial_id)
    body = await received(request, EvaluateBody)
    return await to_thread.run_sync(service.artifacts.evaluate, trained, body, limiter=_ASKING)
