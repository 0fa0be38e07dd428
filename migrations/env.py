"""Alembic's entry: runs migrations on the connection that `models.sql.database.Database.migrate` hands over.

To write a new migration, see CONTRIBUTING.md.
"""

from alembic import context

from models.settings import read_settings
from models.sql.database import Database
from models.sql.tables import Base


def _run(connection: object) -> None:
    context.configure(
        connection=connection,  # type: ignore[arg-type]
        target_metadata=Base.metadata,
        render_as_batch=True,  # SQLite cannot alter a table; batch mode copies it
        compare_server_default=True,
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    _run(given)
else:
    with Database(read_settings().database_location).engine.begin() as opened:
        _run(opened)
