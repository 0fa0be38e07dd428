"""Project of each cohort, and an index of those that wait

Revision: 0008, after 0007
"""

import sqlalchemy as sa
from alembic import op

revision = '0008'
down_revision = '0007'
branch_labels = None
depends_on = None

_WAITING = sa.text("finished_at IS NULL AND lease_owner IS NULL")


def upgrade() -> None:
    """Upgrade to this version."""
    op.add_column("cohorts", sa.Column("project", sa.String(length=64), nullable=False, server_default="default"))
    op.execute(
        "UPDATE cohorts SET project = (SELECT project FROM experiments WHERE experiments.id = cohorts.experiment_id)"
    )
    op.create_index(
        "ix_cohorts_waiting",
        "cohorts",
        ["finished_at", "lease_owner", "project", "created_at", "experiment_id", "number", "queue"],
        sqlite_where=_WAITING, postgresql_where=_WAITING,
    )  # fmt: skip


def downgrade() -> None:
    """Back to the version before."""
    op.drop_index("ix_cohorts_waiting", "cohorts")
    op.drop_column("cohorts", "project")
