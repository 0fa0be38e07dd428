"""Usage: what a project has and does, and how much it may."""

from fastapi import APIRouter

from app.api.dependencies import ReadService
from app.api.problems import problem_responses
from app.api.strict_route import StrictRoute
from fittingroom.views import resources

router = APIRouter(prefix="/v1", route_class=StrictRoute)


@router.get("/usage", tags=["usage"], operation_id="get_usage", responses=problem_responses(503))
def get_usage(service: ReadService) -> resources.UsageView:
    """Return your project's stored bytes and unended trials, with the limit of each."""
    return service.get_usage()
