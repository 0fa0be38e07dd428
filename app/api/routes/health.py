"""Is the process up, and can it do its work?"""

from fastapi import APIRouter, Request

from app.api.problems import problem_responses
from app.api.strict_route import StrictRoute
from app.services.experiments import Service
from app.services.readiness import check_readiness
from fittingroom.views import resources

router = APIRouter(tags=["health"], route_class=StrictRoute)


@router.get("/livez", operation_id="live")
async def live() -> dict[str, str]:
    """The process answers."""
    return {"status": "alive"}


@router.get("/readyz", operation_id="ready", responses=problem_responses(503, 507))
def ready(request: Request) -> resources.HealthView:
    """The database can be written; what it says of the broker, the storage and the workers is for information."""
    service: Service = request.app.state.service
    return check_readiness(service.database, service.storage, service.celery)
