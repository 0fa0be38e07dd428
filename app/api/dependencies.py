"""Dependencies of routes: the caller, the service as the caller sees it, well-formed ids."""

from typing import Annotated

from fastapi import Depends, Path, Request

from app.api.authentication import Admission, Authenticator
from app.services.experiments import Service
from app.services.reads.cached_reads import Kind, Reading
from models.sql.api_keys import ApiKey, Scope

ReadingKey = Annotated[ApiKey, Depends(Admission(Scope.READ))]
SubmittingKey = Annotated[ApiKey, Depends(Admission(Scope.SUBMIT))]
AdminKey = Annotated[ApiKey, Depends(Admission(Scope.ADMIN))]


async def get_service_to_read(request: Request, caller: ReadingKey) -> Service:
    """Return the service as a reader sees it."""
    return _service_of(request, caller)


async def get_service_to_submit(request: Request, caller: SubmittingKey) -> Service:
    """Return the service for one who may submit and change what was submitted."""
    return _service_of(request, caller)


async def get_service_to_administer(request: Request, caller: AdminKey) -> Service:
    """Return the service for one who may remove things for good."""
    return _service_of(request, caller)


def _service_of(request: Request, caller: ApiKey) -> Service:
    service: Service = request.app.state.service
    return service.of(caller.project, caller.max_unended_trials)


def reading_of(request: Request) -> Reading:
    """Return the application's cheap reads."""
    reading: Reading = request.app.state.reading
    return reading


def authenticator_of(request: Request) -> Authenticator:
    """Return the application's key authenticator."""
    authenticator: Authenticator = request.app.state.authenticator
    return authenticator


async def waited(
    request: Request, caller: ApiKey, kind: Kind, resource_id: str, version: int | None, seconds: float
) -> None:
    """Wait until a resource has left a version, for some seconds, as long as the caller's key is valid."""
    waiting = reading_of(request).wait(caller.project, kind, resource_id, version, seconds)
    await authenticator_of(request).outlast(caller, waiting)


ReadService = Annotated[Service, Depends(get_service_to_read)]
SubmitService = Annotated[Service, Depends(get_service_to_submit)]
AdminService = Annotated[Service, Depends(get_service_to_administer)]
ExperimentId = Annotated[str, Path(description="An experiment's id: exp_…")]
TrialId = Annotated[str, Path(description="A trial's id: trl_…")]
