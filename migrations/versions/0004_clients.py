"""Projects and keys, idempotency, lists by more than one order

Revision: 0004, after 0003
"""

import sqlalchemy as sa
from alembic import op

import models.sql.database

revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrade to this version."""
    op.create_table('api_keys',
    sa.Column('id', sa.String(length=40), nullable=False),
    sa.Column('project', sa.String(length=64), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('digest', sa.String(length=64), nullable=False),
    sa.Column('scopes', sa.JSON(), nullable=False),
    sa.Column('requests_per_minute', sa.Integer(), nullable=True),
    sa.Column('max_unended_trials', sa.Integer(), nullable=True),
    sa.Column('created_at', models.sql.database.UtcDateTime(timezone=True), nullable=False),
    sa.Column('expires_at', models.sql.database.UtcDateTime(timezone=True), nullable=True),
    sa.Column('revoked_at', models.sql.database.UtcDateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_api_keys')),
    sa.UniqueConstraint('digest', name=op.f('uq_api_keys_digest'))
    )
    op.create_index(op.f('ix_api_keys_project'), 'api_keys', ['project'], unique=False)
    op.create_table('idempotency_keys',
    sa.Column('project', sa.String(length=64), nullable=False),
    sa.Column('key', sa.String(length=255), nullable=False),
    sa.Column('digest', sa.String(length=64), nullable=False),
    sa.Column('experiment_id', sa.String(length=40), nullable=False),
    sa.Column('created_at', models.sql.database.UtcDateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('project', 'key', name=op.f('pk_idempotency_keys'))
    )
    op.create_index(op.f('ix_idempotency_keys_created_at'), 'idempotency_keys', ['created_at'], unique=False)
    op.add_column('experiments', sa.Column('project', sa.String(length=64), nullable=False, server_default='default'))
    op.add_column('experiments', sa.Column('dataset', sa.String(length=200), nullable=False, server_default='unknown'))
    # What was submitted before has the name of its dataset in its spec only.
    experiments = sa.table('experiments', sa.column('id'), sa.column('dataset'), sa.column('spec', sa.JSON()))
    connection = op.get_bind()
    for row in connection.execute(sa.select(experiments.c.id, experiments.c.spec)).all():
        connection.execute(
            sa.update(experiments).where(experiments.c.id == row.id).values(dataset=row.spec['dataset']['name'])
        )
    op.drop_index('ix_experiments_name', table_name='experiments')
    op.create_index('ix_experiments_project_created_at_id', 'experiments', ['project', 'created_at', 'id'], unique=False)
    op.create_index('ix_experiments_project_name_id', 'experiments', ['project', 'name', 'id'], unique=False)


def downgrade() -> None:
    """Back to the version before."""
    op.drop_index('ix_experiments_project_name_id', table_name='experiments')
    op.drop_index('ix_experiments_project_created_at_id', table_name='experiments')
    op.create_index('ix_experiments_name', 'experiments', ['name'], unique=False)
    op.drop_column('experiments', 'dataset')
    op.drop_column('experiments', 'project')
    op.drop_table('idempotency_keys')
    op.drop_table('api_keys')
