"""Storage quota, reasons for missing weights, project turns, worker instances

Revision: 0007, after 0006
"""

import models.sql.database
import sqlalchemy as sa
from alembic import op

revision = '0007'
down_revision = '0006'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrade. Sizes of existing datasets follow from rows and features: four bytes a number, eight a target.

    Columns are added and dropped in place: SQLite drops no table, and so recreates none, to which rows of another refer.
    """
    op.add_column("datasets", sa.Column("stored_bytes", sa.BigInteger(), nullable=False, server_default="0"))
    rows, features = (f"json_extract(document, '$.{name}')" for name in ("rows", "features"))
    if op.get_bind().dialect.name == "postgresql":
        rows, features = (f"CAST(document ->> '{name}' AS bigint)" for name in ("rows", "features"))
    op.execute(f"UPDATE datasets SET stored_bytes = {rows} * (4 * {features} + 8)")  # noqa: S608 - our own names
    op.add_column("trials", sa.Column("artifact_fault", sa.String(length=200), nullable=True))
    op.add_column("workers", sa.Column("instance", sa.String(length=40), nullable=True))
    op.drop_column("cohorts", "sent_at")  # messages no longer name cohorts
    op.create_table(
        "project_turns",
        sa.Column("project", sa.String(length=64), nullable=False),
        sa.Column("served_at", models.sql.database.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("project", name=op.f("pk_project_turns")),
    )


def downgrade() -> None:
    """Back to the version before."""
    op.drop_table("project_turns")
    op.drop_column("workers", "instance")
    op.add_column("cohorts", sa.Column("sent_at", models.sql.database.UtcDateTime(timezone=True), nullable=True))
    op.drop_column("trials", "artifact_fault")
    op.drop_column("datasets", "stored_bytes")
