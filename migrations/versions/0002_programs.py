"""Program of each cohort

Revision: 0002, after 0001
"""

import sqlalchemy as sa
from alembic import op

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrade to this version."""
    op.add_column('cohorts', sa.Column('program', sa.JSON(), nullable=True))


def downgrade() -> None:
    """Back to the version before."""
    op.drop_column('cohorts', 'program')
