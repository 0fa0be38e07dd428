"""What the two kinds of database do that is not the same."""

import pytest
from sqlalchemy import select, text, update

from models.errors import DatabaseUnavailableError
from models.sql import database as module
from models.sql.database import Database
from models.sql.experiments import get_experiment
from models.sql.leases import lock_experiment, set_version
from models.sql.tables import CohortTable
from models.sql.transitions import mark_sent
from tests.conftest import create_postgres_database, drop_postgres_database
from tests.factories import store

pytestmark = pytest.mark.stores


@pytest.mark.servers
def test_what_is_being_claimed_is_not_waited_for_by_who_has_sent_it() -> None:
    """A claim locks cohorts one after the other; who would lock many at once might wait for it, and it for them."""
    url = create_postgres_database()
    claiming, sending = Database(url), Database(url)
    sending.migrate()
    (_, first), (_, second) = store(sending), store(sending)
    ids = [message.cohort_id for message in (*first, *second)]
    with sending.writing() as session:
        session.execute(update(CohortTable).values(sent_at=None))
    with claiming.writing() as session, sending.writing() as other:
        session.execute(update(CohortTable).where(CohortTable.id == ids[0]).values(lease_owner="wrk_1"))
        other.execute(text("SET LOCAL lock_timeout = '1s'"))
        mark_sent(other, ids)
        sent = set(other.scalars(select(CohortTable.id).where(CohortTable.sent_at.is_not(None))))
    assert sent == set(ids[1:])
    claiming.close()
    sending.close()
    drop_postgres_database(url)


@pytest.mark.servers
def test_who_falls_silent_within_a_write_gives_up_its_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SILENT_SECONDS", 1)
    url = create_postgres_database()
    frozen, other = Database(url), Database(url)
    other.migrate()
    experiment_id, _ = store(other)

    def others_write() -> None:
        with other.writing() as session:
            session.execute(text("SET LOCAL lock_timeout = '10s'"))
            assert lock_experiment(session, experiment_id) == 2

    def is_frozen_within_a_write() -> None:
        with frozen.writing() as session:
            lock_experiment(session, experiment_id)
            others_write()
            set_version(session, experiment_id, 9)

    with pytest.raises(DatabaseUnavailableError) as raised:
        is_frozen_within_a_write()
    assert "idle-in-transaction" in raised.value.reason
    with frozen.reading() as session:  # it has found another connection
        assert get_experiment(session, experiment_id).version == 1
    frozen.close()
    other.close()
    drop_postgres_database(url)
