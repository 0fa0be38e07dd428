"""An experiment that has begun stays with the backend that it began with: until now that was TensorFlow

Revision: 0006, after 0005
"""

import sqlalchemy as sa
from alembic import op

revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrade to this version."""
    op.execute(
        "UPDATE cohorts SET queue = queue || '.tensorflow' WHERE finished_at IS NULL "
        "AND experiment_id IN (SELECT experiment_id FROM cohorts WHERE attempt > 0)"
    )


def downgrade() -> None:
    """Back to the version before, which knows neither `backend` nor `precision`: nothing may have to be trained there."""
    connection = op.get_bind()
    unended = connection.scalar(sa.text("SELECT count(*) FROM cohorts WHERE finished_at IS NULL"))
    if unended:
        raise RuntimeError(
            f"{unended} cohorts have not ended, and the version before cannot train them: wait until they have, or "
            "cancel their experiments"
        )
    without = "json_remove(spec, '$.backend', '$.precision')"
    if connection.dialect.name == "postgresql":
        without = "(CAST(spec AS jsonb) - 'backend' - 'precision')"
    for table in ("experiments", "trials"):
        op.execute(f"UPDATE {table} SET spec = {without}")  # noqa: S608 - our own names
    op.execute("UPDATE cohorts SET queue = replace(replace(queue, '.tensorflow', ''), '.jax', '')")
