"""Experiments and trials as clients poll them.

An unchanged resource costs one look-up of its version; a changed one is read once for all concurrent requests.
"""

import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Literal

from anyio import to_thread

from app.services.experiments import Service
from app.services.reads.histories import (
    csv_pieces,
    find_history,
    get_short_changes,
    get_short_history,
    get_trial_history,
    json_pieces,
    next_piece,
)
from app.services.reads.response_cache import CSV, JSON, CachedResponse, ResponseCache
from app.services.reads.thinning import Thinning
from app.services.reads.version_watcher import Versions
from fittingroom.views import resources
from fittingroom.views.history_formats import csv_of
from fittingroom.views.states import ENDED
from models.errors import NotFoundError
from models.identifiers import Kind as IdKind
from models.identifiers import is_id
from models.lifecycle import TERMINAL
from models.sql.versions import ResourceVersion

LONG_BYTES = 1024**2
LONG_SECONDS = 0.5
"""A history that is longer than this, or takes longer to read, is read as it is sent: only its version is kept."""

Kind = Literal["experiment", "trial"]
_PREFIXES: Mapping[Kind, IdKind] = {"experiment": "exp", "trial": "trl"}


class Reading:
    """Experiments and trials as clients poll them."""

    def __init__(self, service: Service, versions: Versions) -> None:
        """Args: service: reads what is not known yet; versions: what is current."""
        self._service, self._versions = service, versions
        self._cache = ResponseCache()

    async def _current(self, project: str, kind: Kind, resource_id: str) -> ResourceVersion:
        """Return the version of an experiment or a trial; NotFoundError."""
        # What cannot be an id is not looked for.
        known = await self._versions.get(resource_id) if is_id(_PREFIXES[kind], resource_id) else None
        return _seen_by(project, kind, resource_id, known)

    async def wait(
        self, project: str, kind: Kind, resource_id: str, version: int | None, seconds: float
    ) -> ResourceVersion:
        """Wait until the version differs from the given one, or until a timeout; raises NotFoundError if it is gone.

        Args:
            project: who asks.
            kind: of the resource.
            resource_id: which.
            version: the version that the caller has. Default: the current one.
            seconds: timeout.
        """
        now = await self._current(project, kind, resource_id)
        if version is None:
            version = now.version
        return _seen_by(project, kind, resource_id, await self._versions.wait(resource_id, version, seconds))

    async def experiment(self, project: str, experiment_id: str) -> CachedResponse:
        """Return an experiment. What it waits for depends on which queues are served, so its ETag does too."""
        resource = await self._current(project, "experiment", experiment_id)
        served = self._service.served_queues.known()
        if served is None:
            served = await to_thread.run_sync(self._service.served_queues.find)

        def make() -> CachedResponse:
            view = self._service.of(project).get_experiment(experiment_id, served)
            return CachedResponse(view.version, experiment_etag(view.version, served), _json(view))

        return await self._cache.get(("experiment", experiment_id, served), resource.version, make)

    async def trials(self, project: str, experiment_id: str) -> CachedResponse:
        """Return an experiment's trials."""
        resource = await self._current(project, "experiment", experiment_id)

        def make() -> CachedResponse:
            items, version = self._service.of(project).list_trials(experiment_id)
            return CachedResponse(version, etag_of(version), _json(resources.ListView(items=items)))

        return await self._cache.get(("trials", experiment_id), resource.version, make)

    async def comparison(self, project: str, experiment_id: str) -> CachedResponse:
        """Return the comparison of an experiment's candidates."""
        resource = await self._current(project, "experiment", experiment_id)

        def make() -> CachedResponse:
            view = self._service.of(project).get_comparison(experiment_id)
            return CachedResponse(view.version, etag_of(view.version), _json(view))

        return await self._cache.get(("comparison", experiment_id), resource.version, make)

    async def trial(self, project: str, trial_id: str) -> CachedResponse:
        """Return a trial."""
        resource = await self._current(project, "trial", trial_id)

        def make() -> CachedResponse:
            view = self._service.of(project).get_trial(trial_id)
            return CachedResponse(view.version, etag_of(view.version), _json(view))

        return await self._cache.get(("trial", trial_id), resource.version, make)

    async def experiment_history(
        self, project: str, experiment_id: str, after: int, *, points: int | None = None, as_csv: bool = False
    ) -> CachedResponse:
        """Return the histories of an experiment's trials, or what was written after a version.

        Args:
            project: who asks.
            experiment_id: which.
            after: the version.
            points: about how many epochs of each trial are wanted; by default all.
            as_csv: as a table and not as JSON.
        """
        resource = await self._current(project, "experiment", experiment_id)

        def make() -> CachedResponse:
            thinning = None if points is None else Thinning(points)
            history = find_history(self._service.database, project, experiment_id, after, thinning)
            version, has_ended = history.about.version, history.about.state in ENDED
            etag, media_type = _history_format(version, as_csv=as_csv)
            body, started = bytearray(), time.monotonic()
            for piece in (csv_pieces if as_csv else json_pieces)(history):
                body += piece
                if len(body) > LONG_BYTES or time.monotonic() - started > LONG_SECONDS:
                    return CachedResponse(version, etag, b"", media_type, has_ended, history)
            return CachedResponse(version, etag, bytes(body), media_type, has_ended)

        def at_once() -> CachedResponse | None:
            quick = self._service.database.quick
            if quick is None or points or as_csv:
                return None
            view = get_short_changes(quick, project, experiment_id, after)
            if view is None:
                return None
            return CachedResponse(view.version, etag_of(view.version), _json(view), has_ended=view.state in ENDED)

        key = ("history", experiment_id, after, points, as_csv)
        return await self._cache.get(key, resource.version, make, at_once)

    async def trial_history(
        self, project: str, trial_id: str, after: int, *, points: int | None = None, as_csv: bool = False
    ) -> CachedResponse:
        """Return a trial's history, or its epochs later than one; see `experiment_history`."""
        resource = await self._current(project, "trial", trial_id)

        def encoded(view: resources.TrialHistoryView) -> CachedResponse:
            etag, media_type = _history_format(view.version, as_csv=as_csv)
            body = csv_of([view]).encode() if as_csv else _json(view)
            return CachedResponse(view.version, etag, body, media_type, view.state in TERMINAL)

        def make() -> CachedResponse:
            thinning = None if points is None else Thinning(points)
            return encoded(get_trial_history(self._service.database, project, trial_id, after, thinning))

        def at_once() -> CachedResponse | None:
            quick = self._service.database.quick
            view = None if quick is None or points else get_short_history(quick, project, trial_id, after)
            return None if view is None else encoded(view)

        return await self._cache.get(("history", trial_id, after, points, as_csv), resource.version, make, at_once)

    async def changes(self, project: str, experiment_id: str, version: int) -> AsyncIterator[CachedResponse]:
        """Yield what was written after a version, again and again, until the experiment has ended.

        A long answer comes in parts. All but the last, which has no trials, are at the version given, so that a client
        whose connection breaks goes on from there.
        """
        while not self._versions.is_closing:
            resource = await self.wait(project, "experiment", experiment_id, version, seconds=15.0)
            if resource.version == version:
                continue
            answer = await self.experiment_history(project, experiment_id, version)
            if answer.history is not None:
                pages = answer.history.trials.pages()
                while (page := await next_piece(project, pages)) is not None:
                    part = answer.history.about.model_copy(update={"trials": page, "version": version})
                    yield CachedResponse(version, etag_of(version), _json(part))
                answer = replace(answer, body=_json(answer.history.about))
            yield answer
            version = answer.version
            if answer.has_ended:
                return


def etag_of(version: int) -> str:
    """Return the ETag of a resource at a version."""
    return f'W/"{version}"'


def experiment_etag(version: int, served: frozenset[str]) -> str:
    """Return the ETag of an experiment, whose answer says what it waits for, while some queues are served."""
    return f'W/"{"-".join([str(version), *sorted(served)])}"'


def _seen_by(project: str, kind: Kind, resource_id: str, resource: ResourceVersion | None) -> ResourceVersion:
    if resource is None or resource.project != project:
        raise NotFoundError(kind, resource_id)
    return resource


def _json(view: resources.View) -> bytes:
    return view.model_dump_json().encode()


def _history_format(version: int, *, as_csv: bool) -> tuple[str, str]:
    """Return the ETag and the media type of a history."""
    return (f'W/"{version}-csv"', CSV) if as_csv else (etag_of(version), JSON)
