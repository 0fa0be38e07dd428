"""Plots: curves of an experiment or of chosen trials, and results over a hyperparameter."""

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

from anyio import to_thread
from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from app.api.conditional_requests import UNCHANGED, is_known, not_modified
from app.api.dependencies import ExperimentId, ReadService
from app.api.problems import Responses, problem_responses
from app.api.strict_route import StrictRoute, refuse_parameter
from app.services.experiments import Service
from app.services.processes.drawing_processes import DrawingProcesses
from fittingroom.specs.base import Visible
from fittingroom.specs.limits import MAX_NAME_LENGTH

if TYPE_CHECKING:
    from app.plots.pictures import Picture

router = APIRouter(prefix="/v1", tags=["plots"], route_class=StrictRoute)

MAX_METRICS, MAX_TRIALS = 4, 100
_SVG: Responses = {200: {"content": {"image/svg+xml": {}}, "description": "The plot."}}
_PNG: Responses = {200: {"content": {"image/png": {}}, "description": "The plot."}}

Metrics = Annotated[
    Annotated[str, Field(max_length=4 * MAX_NAME_LENGTH), Visible()] | None,
    Query( examples=["loss,val_loss"],
        description="Metric, or several separated by commas. Default: the objective's.",
    ),
]  # fmt: skip
X = Annotated[
    Annotated[str, Field(max_length=MAX_NAME_LENGTH), Visible()],
    Query( examples=["optimizer.learning_rate"],
        description="x axis: `epoch`; a hyperparameter, over which the best value of each trial is drawn; "
        "`hyperparameters`, all of them side by side (parallel coordinates); or `trial`, `epochs` or `seconds`, over "
        "which the best value so far is drawn.",
    ),
]  # fmt: skip
Scale = Annotated[
    Literal["auto", "linear", "log"],
    Query(description="Scale of the y axis; `auto` is `log` if the values span two orders of magnitude."),
]
Layout = Annotated[
    Literal["together", "apart"], Query(description="All metrics in one panel, or one panel per metric.")
]
Seeds = Annotated[
    Literal["each", "band"],
    Query(
        description="One curve per trial, or per candidate the mean with a band from the lowest to the highest seed."
    ),
]


@router.get(
    "/experiments/{experiment_id}/plot.svg", operation_id="plot_experiment", response_class=Response,
    responses=_SVG | UNCHANGED | problem_responses(404, 422, 503),
)  # fmt: skip
@router.get(
    "/experiments/{experiment_id}/plot.png", operation_id="plot_experiment_as_png", response_class=Response,
    responses=_PNG | UNCHANGED | problem_responses(404, 422, 503),
)  # fmt: skip
async def plot_experiment(  # noqa: PLR0913 - a query's parameters
    experiment_id: ExperimentId, service: ReadService, request: Request, *,
    metric: Metrics = None, x: X = "epoch", scale: Scale = "auto", layout: Layout = "together", seeds: Seeds = "each",
) -> Response:  # fmt: skip
    """Plot all trials of an experiment: metrics over epochs, best values over hyperparameters, or the best so far.

    The best epoch of each trial is marked. With more than twelve trials, only the leading one is coloured.
    """
    several = _several("metric", metric, MAX_METRICS)
    view = await to_thread.run_sync(service.get_experiment, experiment_id)
    etag = _etag(request, str(view.version))
    if is_known(request, etag):
        return not_modified(etag)

    def select() -> "Picture":
        from app.plots.selection import Look, picture_experiment  # noqa: PLC0415 - most processes never draw

        return picture_experiment(service, view, Look(several, x, scale, layout, seeds, _format_of(request)))

    return await _drawn(request, service, etag, select)


@router.get(
    "/plot.svg", operation_id="plot_trials", response_class=Response,
    responses=_SVG | UNCHANGED | problem_responses(404, 422, 503),
)  # fmt: skip
@router.get(
    "/plot.png", operation_id="plot_trials_as_png", response_class=Response,
    responses=_PNG | UNCHANGED | problem_responses(404, 422, 503),
)  # fmt: skip
async def plot_trials(  # noqa: PLR0913 - a query's parameters
    trials: Annotated[
        Annotated[str, Field(max_length=40 * MAX_TRIALS), Visible()],
        Query(description="Trial ids, separated by commas.")
    ],
    service: ReadService, request: Request, *,
    metric: Metrics = None, scale: Scale = "auto", layout: Layout = "together", seeds: Seeds = "each",
) -> Response:  # fmt: skip
    """Plot chosen trials, of any experiments."""
    ids, several = _several("trials", trials, MAX_TRIALS), _several("metric", metric, MAX_METRICS)
    etag = _etag(request, await to_thread.run_sync(_versions, service, ids))
    if is_known(request, etag):
        return not_modified(etag)

    def select() -> "Picture":
        from app.plots.selection import Look, picture_trials  # noqa: PLC0415 - most processes never draw

        look = Look(several, scale=scale, layout=layout, seeds=seeds, file_format=_format_of(request))
        return picture_trials(service, ids, look)

    return await _drawn(request, service, etag, select)


def _several(name: str, text: str | None, at_most: int) -> list[str]:
    """Return the words of a list with commas, each once."""
    words = list(dict.fromkeys(word.strip() for word in (text or "").split(",") if word.strip()))
    if len(words) > at_most:
        refuse_parameter(name, text or "", f"at most {at_most}, with commas between; found {len(words)}")
    if text is not None and not words:
        refuse_parameter(name, text, "expected at least one, with commas between")
    return words


def _versions(service: Service, trial_ids: list[str]) -> str:
    return "-".join(str(service.get_trial(trial_id).version) for trial_id in trial_ids)


def _format_of(request: Request) -> Any:  # noqa: ANN401 - svg or png, as the route's own path says
    return request.url.path.rpartition(".")[2]


def _etag(request: Request, version: str) -> str:
    asked = hashlib.sha256(f"{request.url.path}?{request.url.query} {version}".encode()).hexdigest()[:16]
    return f'W/"{asked}"'


async def _drawn(request: Request, service: Service, etag: str, select: Callable[[], "Picture"]) -> Response:
    def selected() -> bytes:
        from app.plots.pictures import write_picture  # noqa: PLC0415 - most processes never draw

        return write_picture(select())

    processes: DrawingProcesses = request.app.state.drawing
    picture = await processes.draw(service.project, etag, selected, request.is_disconnected)
    media_type = {"svg": "image/svg+xml", "png": "image/png"}[_format_of(request)]
    return Response(picture, media_type=media_type, headers={"ETag": etag, "Cache-Control": "no-cache"})
