"""Worktrees, sandboxes, subagents, summaries, and tokens that are good in one dialect."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from app.db import Json

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table('sandbox',
    sa.Column('id', sa.String(length=40), nullable=False),
    sa.Column('owner', sa.String(length=40), nullable=False),
    sa.Column('project', sa.String(length=40), nullable=False),
    sa.Column('directory', sa.String(length=4096), nullable=False),
    sa.Column('template', sa.String(length=200), nullable=False),
    sa.Column('metadata', Json, nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('on_timeout', sa.String(length=16), nullable=False),
    sa.Column('reach', sa.Boolean(), nullable=True),
    sa.Column('started', sa.BigInteger(), nullable=False),
    sa.Column('ends', sa.BigInteger(), nullable=False),
    sa.Column('salt', sa.String(length=64), nullable=False),
    sa.Column('token', sa.String(length=40), nullable=False),
    sa.Column('key', sa.String(length=255), nullable=True),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('owner', 'key')
    )
    op.create_index(op.f('ix_sandbox_ends'), 'sandbox', ['ends'], unique=False)
    op.create_index(op.f('ix_sandbox_owner'), 'sandbox', ['owner'], unique=False)
    op.create_index(op.f('ix_sandbox_token'), 'sandbox', ['token'], unique=False)
    op.create_table('worktree',
    sa.Column('id', sa.String(length=40), nullable=False),
    sa.Column('project', sa.String(length=40), nullable=False),
    sa.Column('name', sa.String(length=100), nullable=False),
    sa.Column('directory', sa.String(length=4096), nullable=False),
    sa.Column('branch', sa.String(length=255), nullable=False),
    sa.Column('repository', sa.String(length=4096), nullable=False),
    sa.Column('git_dir', sa.String(length=4096), nullable=False),
    sa.Column('admin', sa.String(length=4096), nullable=False),
    sa.Column('owner', sa.String(length=40), nullable=False),
    sa.Column('created', sa.BigInteger(), nullable=False),
    sa.Column('missing', sa.BigInteger(), nullable=True),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('directory')
    )
    op.create_index(op.f('ix_worktree_project'), 'worktree', ['project'], unique=False)
    op.create_index('ask_project', 'ask', ['project', 'created'], unique=False)
    op.add_column('checkpoint', sa.Column('lost', sa.String(length=200), nullable=False, server_default=''))
    op.add_column('checkpoint', sa.Column('talk', Json, nullable=True))
    op.create_index('checkpoint_created', 'checkpoint', ['created'], unique=False)
    op.add_column('run', sa.Column('parent_run', sa.String(length=40), nullable=True))
    op.create_index(op.f('ix_run_parent_run'), 'run', ['parent_run'], unique=False)
    op.add_column('session', sa.Column('compacting', sa.BigInteger(), nullable=True))
    op.create_index('session_standing', 'session', ['state', 'archived', 'project', 'owner', 'visibility'], unique=False)
    op.create_index('session_state_updated', 'session', ['state', 'updated', 'id'], unique=False)
    op.add_column('token', sa.Column('only_in', sa.String(length=16), nullable=False, server_default=''))
    op.add_column('token', sa.Column('parent', sa.String(length=40), nullable=False, server_default=''))
    op.create_index(op.f('ix_token_parent'), 'token', ['parent'], unique=False)


def downgrade() -> None:
    """Take back."""
    op.drop_index(op.f('ix_token_parent'), table_name='token')
    op.drop_column('token', 'parent')
    op.drop_column('token', 'only_in')
    op.drop_index('session_state_updated', table_name='session')
    op.drop_index('session_standing', table_name='session')
    op.drop_column('session', 'compacting')
    op.drop_index(op.f('ix_run_parent_run'), table_name='run')
    op.drop_column('run', 'parent_run')
    op.drop_index('checkpoint_created', table_name='checkpoint')
    op.drop_column('checkpoint', 'talk')
    op.drop_column('checkpoint', 'lost')
    op.drop_index('ask_project', table_name='ask')
    op.drop_index(op.f('ix_worktree_project'), table_name='worktree')
    op.drop_table('worktree')
    op.drop_index(op.f('ix_sandbox_token'), table_name='sandbox')
    op.drop_index(op.f('ix_sandbox_owner'), table_name='sandbox')
    op.drop_index(op.f('ix_sandbox_ends'), table_name='sandbox')
    op.drop_table('sandbox')
