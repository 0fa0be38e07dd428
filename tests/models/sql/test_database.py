"""What the two kinds of database do that is not the same."""

import pytest
from sqlalchemy import text

from models.errors import DatabaseUnavailableError
from models.sql import database as module
from models.sql.database import Database
from models.sql.experiments import get_experiment
from models.sql.leases import lock_experiment, set_version
from tests.conftest import create_postgres_database, drop_postgres_database
from tests.factories import store

pytestmark = pytest.mark.stores


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
