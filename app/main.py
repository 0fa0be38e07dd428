"""The ASGI application: `create_app`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

import fittingroom
from app.api.authentication import Authenticator
from app.api.fast_reads import FastReads
from app.api.openapi import describe
from app.api.problems import install_error_handlers
from app.api.rate_limits import RateLimits
from app.api.request_bodies import Bodies
from app.api.routes import (
    artifacts,
    batches,
    comparison,
    dashboard,
    datasets,
    documentation,
    events,
    experiments,
    health,
    plots,
    trials,
    usage,
    workers,
)
from app.api.web_origins import WebOrigins
from app.services.artifacts import ArtifactService
from app.services.datasets import Datasets
from app.services.experiments import DEFAULT_PROJECT, Service
from app.services.kept_bytes import KeptBytes
from app.services.plans import Plans
from app.services.processes.drawing_processes import DrawingProcesses
from app.services.processes.predictor_process import PredictorProcess
from app.services.reads.cached_reads import Reading
from app.services.reads.version_watcher import Versions
from app.services.served_queues import ServedQueues
from app.services.submission_writer import SubmissionWriter
from app.services.webhooks.webhook_delivery import WebhookDispatcher
from models.logs import configure_logs
from models.maintenance.reaper import Reaper
from models.messaging.broker import create_celery
from models.settings import Settings, read_settings
from models.sql import worker_registry
from models.sql.database import Database
from models.storage import Storage

_DESCRIPTION = """\
Post an experiment; it trains several Keras models and reports which fits best.

Start with **POST /v1/experiments**: choose one of the six exercises under *Examples*, press *Execute*, and follow the
`Location` of the answer. An experiment's `version` grows with every epoch written; send its `ETag` back as
`If-None-Match` and an unchanged experiment answers 304. Every error is a problem document (RFC 9457).
"""


def create_app(settings: Settings | None = None) -> FastAPI:
    """Put the application together.

    Args:
        settings: by default those of the environment.
    """
    settings = settings or read_settings()
    settings.make_folders()
    configure_logs(settings)
    database, celery = Database(settings.database_location), create_celery(settings)
    reaper = Reaper(settings, database, celery, worker_registry.list_idle_queues)
    submissions, versions = SubmissionWriter(database, celery), Versions(database)
    storage = Storage(settings.storage_location)
    own = Datasets(database, storage, settings.temporary_dir, settings.max_project_bytes, DEFAULT_PROJECT)
    predictor, drawing = PredictorProcess(), DrawingProcesses()
    trained = ArtifactService(
        database, predictor, settings.storage_location, settings.temporary_dir, own, DEFAULT_PROJECT
    )
    kept_bytes = KeptBytes(database, settings.max_project_bytes)
    rate_limits = RateLimits(settings.celery_broker_url, settings.data_dir)
    plans, served_queues = Plans(settings.memory_bytes), ServedQueues(database)
    service = Service(database, celery, submissions, storage, own, trained, kept_bytes, plans, served_queues)

    def ended(project: str, experiment_id: str) -> dict[str, object]:
        """Return the webhook's payload."""
        return service.of(project).get_experiment(experiment_id).model_dump(mode="json", exclude={"spec"})

    dispatcher = WebhookDispatcher(database, ended, allow_private=settings.allow_private_webhooks)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        reaper.start()
        dispatcher.start()
        yield
        dispatcher.end()
        await rate_limits.close()
        versions.close()
        submissions.close()
        predictor.close()
        drawing.close()
        reaper.end()
        reaper.join(5.0)  # its connection goes back before all are closed
        database.close()

    app = FastAPI(
        title="Fitting Room",
        version=fittingroom.__version__,
        description=_DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,  # Starlette's redirect repeats the Host
    )
    app.state.service, app.state.versions, app.state.drawing = service, versions, drawing
    app.state.reading, app.state.authenticator, app.state.bodies = (
        Reading(service, versions),
        Authenticator(database, rate_limits),
        Bodies(),
    )
    app.add_middleware(FastReads, reading=app.state.reading)  # within the next one
    app.add_middleware(WebOrigins, allowed_hosts=settings.allowed_hosts)
    install_error_handlers(app)
    for module in (
        batches,
        experiments,
        events,
        comparison,
        plots,
        trials,
        artifacts,
        datasets,
        workers,
        usage,
        health,
    ):
        app.include_router(module.router)
    documentation.mount_documentation(app)
    dashboard.mount_dashboard(app)
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]  # FastAPI's own way to change it
    return app
