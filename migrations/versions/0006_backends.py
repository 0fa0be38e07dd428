"""An experiment that has begun stays with the backend that it began with: until now that was TensorFlow

Revision: 0006, after 0005
"""

from alembic import op

revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this version."""
    op.execute(
        "UPDATE cohorts SET queue = queue || '.tensorflow' WHERE finished_at IS NULL "
        "AND experiment_id IN (SELECT experiment_id FROM cohorts WHERE attempt > 0)"
    )


def downgrade() -> None:
    """Back to the version before."""
    op.execute("UPDATE cohorts SET queue = replace(replace(queue, '.tensorflow', ''), '.jax', '')")
