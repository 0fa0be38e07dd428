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
    """To this version. Of what is there, the size follows from rows and features: four bytes a number, eight a target."""
    with op.batch_alter_table("datasets") as table:
        table.add_column(sa.Column("stored_bytes", sa.BigInteger(), nullable=True))
    rows, features = (f"json_extract(document, '$.{name}')" for name in ("rows", "features"))
    if op.get_bind().dialect.name == "postgresql":
        rows, features = (f"CAST(document ->> '{name}' AS bigint)" for name in ("rows", "features"))
    op.execute(f"UPDATE datasets SET stored_bytes = {rows} * (4 * {features} + 8)")  # noqa: S608 - our own names
    with op.batch_alter_table("datasets") as table:
        table.alter_column("stored_bytes", existing_type=sa.BigInteger(), nullable=False)
    with op.batch_alter_table("trials") as table:
        table.add_column(sa.Column("artifact_fault", sa.String(length=200), nullable=True))
    with op.batch_alter_table("workers") as table:
        table.add_column(sa.Column("instance", sa.String(length=40), nullable=True))
    with op.batch_alter_table("cohorts") as table:
        table.drop_column("sent_at")  # messages no longer name cohorts
    op.create_table(
        "project_turns",
        sa.Column("project", sa.String(length=64), nullable=False),
        sa.Column("served_at", models.sql.database.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("project", name=op.f("pk_project_turns")),
    )


def downgrade() -> None:
    """Back to the version before."""
    op.drop_table("project_turns")
    with op.batch_alter_table("workers") as table:
        table.drop_column("instance")
    with op.batch_alter_table("cohorts") as table:
        table.add_column(sa.Column("sent_at", models.sql.database.UtcDateTime(timezone=True), nullable=True))
    with op.batch_alter_table("trials") as table:
        table.drop_column("artifact_fault")
    with op.batch_alter_table("datasets") as table:
        table.drop_column("stored_bytes")
