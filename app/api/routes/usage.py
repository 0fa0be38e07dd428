"""Usage and quotas of a project."""

from fastapi import APIRouter

from app.api.dependencies import ReadService
from app.api.problems import problem_responses
from app.api.strict_route import StrictRoute
from fittingroom.views import resources

router = APIRouter(prefix="/v1", route_class=StrictRoute)


@router.get("/usage", tags=["usage"], operation_id="get_usage", responses=problem_responses(503))
def get_usage(service: ReadService) -> resources.UsageView:
    """Return stored bytes and unfinished trials of your project, with the quota of each."""
    return service.get_usage()
