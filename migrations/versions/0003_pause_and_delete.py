"""Experiments that pause, and what deleted ones leave behind

Revision: 0003, after 0002
"""

import sqlalchemy as sa
from alembic import op

import models.sql.database

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrade to this version."""
    op.add_column('experiments', sa.Column('paused_at', models.sql.database.UtcDateTime(timezone=True), nullable=True))
    op.create_table('deletions',
    sa.Column('experiment_id', sa.String(length=40), nullable=False),
    sa.Column('deleted_at', models.sql.database.UtcDateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('experiment_id', name=op.f('pk_deletions'))
    )


def downgrade() -> None:
    """Back to the version before."""
    op.drop_table('deletions')
    op.drop_column('experiments', 'paused_at')
