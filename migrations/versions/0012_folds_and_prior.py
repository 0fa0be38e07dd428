"""Folds of trials, results with which a search began

Revision: 0012, after 0011
"""

import sqlalchemy as sa
from alembic import op

revision = '0012'
down_revision = '0011'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrade to this version."""
    op.add_column("trials", sa.Column("fold", sa.Integer(), nullable=True))
    op.add_column("experiments", sa.Column("prior_results", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Back to the version before."""
    op.drop_column("experiments", "prior_results")
    op.drop_column("trials", "fold")
