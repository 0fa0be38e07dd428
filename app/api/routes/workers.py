"""Live workers."""

from fastapi import APIRouter

from app.api.dependencies import ReadService
from app.api.problems import problem_responses
from app.api.strict_route import StrictRoute
from fittingroom.views import resources

router = APIRouter(prefix="/v1", route_class=StrictRoute)


@router.get("/workers", tags=["workers"], operation_id="list_workers", responses=problem_responses(503))
def list_workers(service: ReadService) -> resources.ListView[resources.WorkerView]:
    """List live workers with their devices, queues and current work."""
    return resources.ListView(items=service.list_workers())
