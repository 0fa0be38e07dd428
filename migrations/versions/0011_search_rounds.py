"""Rounds of a search

Revision: 0011, after 0010
"""

import sqlalchemy as sa
from alembic import op

import models.sql.database

revision = '0011'
down_revision = '0010'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrade to this version."""
    op.add_column("experiments", sa.Column("undrawn_trials", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("experiments", sa.Column("drawing_attempts", sa.Integer(), nullable=False, server_default="0"))
    for name in ("drawing_expires_at", "search_ended_at"):
        op.add_column(
            "experiments", sa.Column(name, models.sql.database.UtcDateTime(timezone=True), nullable=True)
        )
    op.create_index(
        "ix_experiments_undrawn_trials", "experiments", ["undrawn_trials"],
        sqlite_where=sa.text("undrawn_trials > 0"), postgresql_where=sa.text("undrawn_trials > 0"),
    )  # fmt: skip
    op.add_column("trials", sa.Column("round", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("trials", sa.Column("is_confirming", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table(
        "search_rounds",
        sa.Column("experiment_id", sa.String(length=40), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("trials", sa.Integer(), nullable=False),
        sa.Column("versions", sa.JSON(), nullable=False),
        sa.Column("drawn_at", models.sql.database.UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["experiment_id"], ["experiments.id"], name="fk_search_rounds_experiment_id_experiments"
        ),
        sa.PrimaryKeyConstraint("experiment_id", "number", name="pk_search_rounds"),
    )


def downgrade() -> None:
    """Back to the version before."""
    op.drop_table("search_rounds")
    op.drop_column("trials", "is_confirming")
    op.drop_column("trials", "round")
    op.drop_index("ix_experiments_undrawn_trials", "experiments")
    op.drop_column("experiments", "search_ended_at")
    op.drop_column("experiments", "drawing_expires_at")
    op.drop_column("experiments", "drawing_attempts")
    op.drop_column("experiments", "undrawn_trials")
