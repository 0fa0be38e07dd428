"""Drawing of the next rounds of searches, by whichever worker looks for work first."""

import structlog

from fittingroom.specs.faults import InvalidSpec
from models.errors import DatabaseUnavailableError
from models.messaging.waiting import WaitingCohort
from models.planning.rounds import plan_round
from models.settings import Settings
from models.sql import rounds
from models.sql.database import Database

_SEARCHES_AT_ONCE = 10

_log = structlog.get_logger()


def draw_due_rounds(database: Database, settings: Settings) -> list[WaitingCohort]:
    """Draw and store the next round of each search whose last one has ended.

    A search that cannot be drawn ends: the experiment says why in a warning.

    Returns:
        The cohorts to announce to other workers.

    Raises:
        DatabaseUnavailableError: the database is out of reach; what was not stored is drawn again later, the same.
    """
    with database.reading() as session:
        due = rounds.list_due(session, _SEARCHES_AT_ONCE)
    announced: list[WaitingCohort] = []
    for experiment_id in due:
        try:
            announced += _draw(database, settings, experiment_id)
        except DatabaseUnavailableError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever fails, what was accepted ends
            _log.exception("round_not_drawn", experiment=experiment_id)
            reason = f"the service failed ({type(error).__name__}) while it drew the next round; its log says more"
            if isinstance(error, InvalidSpec):
                reason = f"no further round can be drawn: {error.faults[0].detail}"
            with database.writing() as session:
                rounds.end_search(session, experiment_id, reason)
    return announced


def _draw(database: Database, settings: Settings, experiment_id: str) -> list[WaitingCohort]:
    """Draw the next round of a search; store it unless another worker has."""
    with database.reading() as session:
        found = rounds.find_search(session, experiment_id)
    if found is None:
        return []
    plan = plan_round(found.spec, found.results, settings.memory_bytes, found.datasets)
    with database.writing() as session:
        stored = rounds.add_round(session, found, plan)
    if stored is None:
        return []
    _log.info("round_drawn", experiment=experiment_id, round=found.results.round + 1, trials=len(plan.trials))
    return stored
