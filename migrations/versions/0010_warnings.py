"""Warnings of an experiment

Revision: 0010, after 0009
"""

import sqlalchemy as sa
from alembic import op

revision = '0010'
down_revision = '0009'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrade to this version."""
    op.add_column("experiments", sa.Column("warnings", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Back to the version before."""
    op.drop_column("experiments", "warnings")
