"""Is the process up, and can it do its work?

May import: fastapi, the service. Knows no SQL.
"""

from fastapi import APIRouter, Request

from app import schemas
from app.errors import problem_responses
from app.routes.strictness import StrictRoute
from app.service import Service

router = APIRouter(tags=["health"], route_class=StrictRoute)


@router.get("/livez", operation_id="live")
async def live() -> dict[str, str]:
    """The process answers."""
    return {"status": "alive"}


@router.get("/readyz", operation_id="ready", responses=problem_responses(503))
def ready(request: Request) -> schemas.HealthView:
    """The database answers; what it says of the broker and the workers is for information."""
    service: Service = request.app.state.service
    return service.health()
