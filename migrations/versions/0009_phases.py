"""Phase of a running trial

Revision: 0009, after 0008
"""

import sqlalchemy as sa
from alembic import op

revision = '0009'
down_revision = '0008'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrade to this version."""
    op.add_column("trials", sa.Column("phase", sa.String(length=20), nullable=True))


def downgrade() -> None:
    """Back to the version before."""
    op.drop_column("trials", "phase")
