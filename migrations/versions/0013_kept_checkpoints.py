"""Last states of trials, and trials that go on from them

Revision: 0013, after 0012
"""

import sqlalchemy as sa
from alembic import op

revision = '0013'
down_revision = '0012'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrade to this version."""
    op.add_column("experiments", sa.Column("chosen_among", sa.Integer(), nullable=True))
    op.add_column("trials", sa.Column("checkpoint", sa.String(length=200), nullable=True))
    op.add_column("trials", sa.Column("checkpoint_bytes", sa.BigInteger(), nullable=True))
    op.add_column("trials", sa.Column("continues", sa.String(length=40), nullable=True))


def downgrade() -> None:
    """Back to the version before."""
    for name in ("continues", "checkpoint_bytes", "checkpoint"):
        op.drop_column("trials", name)
    op.drop_column("experiments", "chosen_among")
