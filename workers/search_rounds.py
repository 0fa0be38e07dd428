"""Drawing of the next rounds of searches, by whichever worker looks for work first."""

import structlog

from fittingroom.specs.experiment import ExperimentSpec
from fittingroom.specs.faults import InvalidSpec
from models.errors import DatabaseUnavailableError
from models.messaging.waiting import WaitingCohort
from models.planning.rounds import plan_round
from models.settings import Settings
from models.sql.database import Database
from models.sql.plans import rounds

_SEARCHES_AT_ONCE = 10

_log = structlog.get_logger()


def draw_due_rounds(database: Database, settings: Settings) -> list[WaitingCohort]:
    """Draw and store the next round of each search whose last one has ended.

    A round that fails is drawn again when the lease on it has expired, the same; after ten attempts the search
    ends, and the experiment says so in a warning.

    Returns:
        The cohorts to announce to other workers.

    Raises:
        DatabaseUnavailableError: the database is out of reach.
    """
    with database.reading() as session:
        due = rounds.list_due(session, _SEARCHES_AT_ONCE)
    announced: list[WaitingCohort] = []
    for experiment_id in due:
        try:
            announced += _draw(database, settings, experiment_id)
        except DatabaseUnavailableError:
            raise
        except Exception:  # noqa: BLE001 - none may keep the others, or cohorts, from being worked on
            _log.exception("round_not_drawn", experiment=experiment_id)
    return announced


def _draw(database: Database, settings: Settings, experiment_id: str) -> list[WaitingCohort]:
    """Draw the next round of a search and store it, unless another worker does."""
    with database.writing() as session:
        found = rounds.claim_drawing(session, experiment_id, settings.lease_seconds)
    if found is None:
        return []
    spec = ExperimentSpec.model_validate(found.document)
    try:
        plan = plan_round(spec, found.results, settings.memory_bytes, found.datasets)
    except InvalidSpec as error:
        with database.writing() as session:
            rounds.end_search(session, found, f"no further round can be drawn: {error.faults[0].detail}")
        return []
    with database.writing() as session:
        stored = rounds.add_round(session, found, spec, plan)
    if stored is None:
        return []
    _log.info("round_drawn", experiment=experiment_id, round=found.results.round + 1, trials=len(plan.trials))
    return stored
