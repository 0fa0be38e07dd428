"""Which candidate of an experiment fits, and what of that is luck.

May import: fastapi, the cheap reads, the views. Knows no SQL and no statistics.
"""

from fastapi import APIRouter, Request, Response

from app.comparison_schemas import ComparisonView
from app.dependencies import ExperimentId, Reader, reading_of
from app.errors import problem_responses
from app.routes.negotiation import UNCHANGED, answered
from app.routes.strictness import StrictRoute

router = APIRouter(prefix="/v1/experiments", tags=["experiments"], route_class=StrictRoute)


@router.get(
    "/{experiment_id}/comparison",
    operation_id="compare_experiment",
    response_model=ComparisonView,
    responses=UNCHANGED | problem_responses(404, 503),
)
async def compare(experiment_id: ExperimentId, caller: Reader, request: Request) -> Response:
    """Its candidates, best first, by the objective at each trial's best epoch; and what the seeds show.

    Trials that differ by their seed alone are one candidate. The leader is compared with every other one seed by seed,
    as the same seed means the same initial weights and batches.
    """
    return answered(request, await reading_of(request).comparison(caller.project, experiment_id))
