"""Comparison of the candidates of an experiment."""

from fastapi import APIRouter, Request, Response

from app.api.conditional_requests import UNCHANGED, answered
from app.api.dependencies import ExperimentId, ReadingKey, reading_of
from app.api.problems import problem_responses
from app.api.strict_route import StrictRoute
from fittingroom.views.comparison import ComparisonView

router = APIRouter(prefix="/v1/experiments", tags=["experiments"], route_class=StrictRoute)


@router.get(
    "/{experiment_id}/comparison",
    operation_id="compare_experiment",
    response_model=ComparisonView,
    responses=UNCHANGED | problem_responses(404, 503),
)
async def compare(experiment_id: ExperimentId, caller: ReadingKey, request: Request) -> Response:
    """Compare the candidates of an experiment, ranked by the objective at each trial's best epoch.

    A candidate is the trials that differ by seed and fold alone. The leader is compared with every other candidate by a
    paired t test over seeds, or folds: equal seeds give equal initial weights and batches, equal folds the same rows.
    """
    return answered(request, await reading_of(request).comparison(caller.project, experiment_id))
