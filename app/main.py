"""The ASGI application: `create_app`.

May import: everything in `app` but matplotlib. Never TensorFlow, Keras or numpy: a test looks.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI

from app.access import Gate
from app.artifacts import Artifacts
from app.datasets import Datasets
from app.errors import install_error_handlers
from app.limits import BodyLimit
from app.openapi import describe
from app.predictor import Predictor
from app.reading import Reading
from app.routes import (
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
    workers,
)
from app.service import DEFAULT_PROJECT, Service
from app.submitter import Submitter
from app.versions import Versions
from app.webhooks import Messenger
from models import registry
from models.broker import create_celery
from models.database import Database
from models.logs import configure_logs
from models.reaper import Reaper
from models.settings import Settings, read_settings
from models.storage import Storage

_DESCRIPTION = """\
Post an experiment; it tries several Keras models on, and tells you which fits.

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
    database, celery = Database(settings.sqlalchemy_url), create_celery(settings)
    reaper = Reaper(settings, database, celery, registry.list_idle_queues)
    submitter, versions = Submitter(database, celery), Versions(database)
    storage = Storage(settings.storage_location)
    own = Datasets(database, storage, settings.temporary_dir, DEFAULT_PROJECT)
    predictor = Predictor()
    trained = Artifacts(database, predictor, settings.storage_location, settings.temporary_dir, DEFAULT_PROJECT)
    service = Service(database, celery, submitter, storage, own, trained, settings.memory_bytes)

    def ended(project: str, experiment_id: str) -> dict[str, object]:
        """What a webhook tells of an experiment."""
        return service.of(project).get_experiment(experiment_id).model_dump(mode="json", exclude={"spec"})

    messenger = Messenger(database, ended, allow_private=settings.allow_private_webhooks)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        reaper.start()
        messenger.start()
        yield
        messenger.end()
        versions.close()
        submitter.close()
        predictor.close()
        reaper.end()
        reaper.join(5.0)  # its connection goes back before all are closed
        database.close()

    app = FastAPI(
        title="Fitting Room",
        version=version("fittingroom"),
        description=_DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.service, app.state.versions = service, versions
    app.state.reading, app.state.gate = Reading(service, versions), Gate(database)
    app.add_middleware(BodyLimit)
    install_error_handlers(app)
    for module in (batches, experiments, events, comparison, plots, trials, artifacts, datasets, workers, health):
        app.include_router(module.router)
    documentation.mount_documentation(app)
    dashboard.mount_dashboard(app)
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]  # FastAPI's own way to change it
    return app
