"""What there is to train on: datasets and workers.

May import: fastapi, the service, the views. Knows no SQL.
"""

from fastapi import APIRouter

from app import schemas
from app.dependencies import ReadService
from app.errors import problem_responses
from app.routes.strictness import StrictRoute
from models.spec.datasets import DatasetSchema

router = APIRouter(prefix="/v1", route_class=StrictRoute)


@router.get("/datasets", tags=["datasets"], operation_id="list_datasets", responses=problem_responses())
def list_datasets(service: ReadService) -> schemas.ListView[DatasetSchema]:
    """All datasets."""
    return schemas.ListView(items=service.list_datasets())


@router.get("/datasets/{name}", tags=["datasets"], operation_id="get_dataset", responses=problem_responses(404))
def get_dataset(name: str, service: ReadService) -> DatasetSchema:
    """One dataset: its rows, features and classes."""
    return service.get_dataset(name)


@router.get("/workers", tags=["workers"], operation_id="list_workers", responses=problem_responses(503))
def list_workers(service: ReadService) -> schemas.ListView[schemas.WorkerView]:
    """The workers that are alive: on which devices, serving which queues, doing what."""
    return schemas.ListView(items=service.list_workers())
