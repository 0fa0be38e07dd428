"""Workers: who is alive.

May import: fastapi, the service, the views. Knows no SQL.
"""

from fastapi import APIRouter

from app import schemas
from app.dependencies import ReadService
from app.errors import problem_responses
from app.routes.strictness import StrictRoute

router = APIRouter(prefix="/v1", route_class=StrictRoute)


@router.get("/workers", tags=["workers"], operation_id="list_workers", responses=problem_responses(503))
def list_workers(service: ReadService) -> schemas.ListView[schemas.WorkerView]:
    """The workers that are alive: on which devices, serving which queues, doing what."""
    return schemas.ListView(items=service.list_workers())
