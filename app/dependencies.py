"""What routes are given: the service, and ids that can be ids.

May import: fastapi, the service. Knows no SQL.
"""

from typing import Annotated

from fastapi import Depends, Path, Request

from app.service import Service
from models.errors import NotFoundError
from models.identifiers import is_id


def get_service(request: Request) -> Service:
    """The application's service."""
    service: Service = request.app.state.service
    return service


def get_experiment_id(experiment_id: Annotated[str, Path(description="An experiment's id: exp_…")]) -> str:
    """An id that could exist; what cannot be one is not looked for."""
    if not is_id("exp", experiment_id):
        raise NotFoundError("experiment", experiment_id)
    return experiment_id


def get_trial_id(trial_id: Annotated[str, Path(description="A trial's id: trl_…")]) -> str:
    """An id that could exist; what cannot be one is not looked for."""
    if not is_id("trl", trial_id):
        raise NotFoundError("trial", trial_id)
    return trial_id


ServiceDependency = Annotated[Service, Depends(get_service)]
ExperimentId = Annotated[str, Depends(get_experiment_id)]
TrialId = Annotated[str, Depends(get_trial_id)]
