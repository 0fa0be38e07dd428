"""Dependencies of routes: the caller, the service as the caller sees it, well-formed ids."""

from typing import Annotated

from fastapi import Depends, Path, Request
from fastapi.openapi.models import HTTPBearer as HTTPBearerModel
from fastapi.security.base import SecurityBase

from app.api.authentication import Gate
from app.services.cached_reads import Reading
from app.services.experiments import Service
from models.sql.api_keys import ApiKey, Scope


class Admission(SecurityBase):
    """Lets in who has a key with a scope; one dependency, as each costs every request some time."""

    scheme_name = "key"
    model = HTTPBearerModel(
        bearerFormat="fr_…",
        description="A key made by `fittingroom keys create`. Where none was ever made, none is needed.",
    )

    def __init__(self, scope: Scope) -> None:
        """Args: scope: what the key must allow."""
        self._scope = scope

    async def __call__(self, request: Request) -> ApiKey:
        """Who asks."""
        gate: Gate = request.app.state.gate
        shown = request.headers.get("authorization")
        scheme, _, key = (shown or "").partition(" ")
        return await gate.admit(key.strip() if scheme.lower() == "bearer" else shown, self._scope)


ReadingKey = Annotated[ApiKey, Depends(Admission(Scope.READ))]
SubmittingKey = Annotated[ApiKey, Depends(Admission(Scope.SUBMIT))]
AdminKey = Annotated[ApiKey, Depends(Admission(Scope.ADMIN))]


async def get_service_to_read(request: Request, caller: ReadingKey) -> Service:
    """The service as a reader sees it."""
    return _service_of(request, caller)


async def get_service_to_submit(request: Request, caller: SubmittingKey) -> Service:
    """The service for one who may submit and change what was submitted."""
    return _service_of(request, caller)


async def get_service_to_administer(request: Request, caller: AdminKey) -> Service:
    """The service for one who may remove things for good."""
    return _service_of(request, caller)


def _service_of(request: Request, caller: ApiKey) -> Service:
    service: Service = request.app.state.service
    return service.of(caller.project, caller.max_unended_trials)


def reading_of(request: Request) -> Reading:
    """The application's cheap reads."""
    reading: Reading = request.app.state.reading
    return reading


ReadService = Annotated[Service, Depends(get_service_to_read)]
SubmitService = Annotated[Service, Depends(get_service_to_submit)]
AdminService = Annotated[Service, Depends(get_service_to_administer)]
ExperimentId = Annotated[str, Path(description="An experiment's id: exp_…")]
TrialId = Annotated[str, Path(description="A trial's id: trl_…")]
