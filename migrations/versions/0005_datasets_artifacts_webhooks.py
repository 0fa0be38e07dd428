"""Datasets of one's own, the weights that trials end with, webhooks

Revision: 0005, after 0004
"""

import sqlalchemy as sa
from alembic import op

import models.sql.database

revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrade to this version."""
    op.create_table('datasets',
    sa.Column('id', sa.String(length=40), nullable=False),
    sa.Column('project', sa.String(length=64), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('sha256', sa.String(length=64), nullable=False),
    sa.Column('document', sa.JSON(), nullable=False),
    sa.Column('created_at', models.sql.database.UtcDateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_datasets')),
    sa.UniqueConstraint('project', 'name', name=op.f('uq_datasets_project_name'))
    )
    op.create_index(op.f('ix_datasets_sha256'), 'datasets', ['sha256'], unique=False)
    op.create_table('experiment_datasets',
    sa.Column('experiment_id', sa.String(length=40), nullable=False),
    sa.Column('dataset_id', sa.String(length=40), nullable=False),
    sa.ForeignKeyConstraint(['dataset_id'], ['datasets.id'], name=op.f('fk_experiment_datasets_dataset_id_datasets')),
    sa.ForeignKeyConstraint(['experiment_id'], ['experiments.id'], name=op.f('fk_experiment_datasets_experiment_id_experiments')),
    sa.PrimaryKeyConstraint('experiment_id', 'dataset_id', name=op.f('pk_experiment_datasets'))
    )
    op.create_index(op.f('ix_experiment_datasets_dataset_id'), 'experiment_datasets', ['dataset_id'], unique=False)
    op.create_table('webhooks',
    sa.Column('experiment_id', sa.String(length=40), nullable=False),
    sa.Column('url', sa.Text(), nullable=False),
    sa.Column('secret', sa.String(length=200), nullable=False),
    sa.Column('next_attempt_at', models.sql.database.UtcDateTime(timezone=True), nullable=True),
    sa.Column('attempts', sa.Integer(), nullable=False),
    sa.Column('delivered_at', models.sql.database.UtcDateTime(timezone=True), nullable=True),
    sa.Column('last_answer', sa.String(length=200), nullable=True),
    sa.ForeignKeyConstraint(['experiment_id'], ['experiments.id'], name=op.f('fk_webhooks_experiment_id_experiments')),
    sa.PrimaryKeyConstraint('experiment_id', name=op.f('pk_webhooks'))
    )
    op.create_index('ix_webhooks_delivered_at_next_attempt_at', 'webhooks', ['delivered_at', 'next_attempt_at'], unique=False)
    op.add_column('trials', sa.Column('artifact', sa.String(length=200), nullable=True))
    op.add_column('trials', sa.Column('artifact_epoch', sa.Integer(), nullable=True))


def downgrade() -> None:
    """Back to the version before."""
    op.drop_column('trials', 'artifact_epoch')
    op.drop_column('trials', 'artifact')
    op.drop_table('webhooks')
    op.drop_table('experiment_datasets')
    op.drop_table('datasets')
