"""Liveness and readiness probes."""

from fastapi import APIRouter, Request

from app.api.problems import problem_responses
from app.api.strict_route import StrictRoute
from app.services.experiments import Service
from app.services.readiness import check_readiness
from fittingroom.views import resources

router = APIRouter(tags=["health"], route_class=StrictRoute)


@router.get("/livez", operation_id="live")
async def live() -> dict[str, str]:
    """Liveness: the process answers."""
    return {"status": "alive"}


@router.get("/readyz", operation_id="ready", responses=problem_responses(503, 507))
def ready(request: Request) -> resources.HealthView:
    """Readiness: the database can be written. Broker, storage and workers are for information."""
    service: Service = request.app.state.service
    return check_readiness(service.database, service.storage, service.celery)
