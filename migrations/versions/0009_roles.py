"""Roles that are made here, and who holds which: a person may hold several. Tokens that agents hold."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from app.db import Json

revision = '0009'
down_revision = '0008'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table('role',
    sa.Column('name', sa.String(length=64), nullable=False),
    sa.Column('description', sa.String(length=500), nullable=False),
    sa.Column('inherits', Json, nullable=False),
    sa.Column('permissions', Json, nullable=False),
    sa.Column('created', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('name')
    )
    op.create_table('role_assignment',
    sa.Column('user_id', sa.String(), nullable=False),
    sa.Column('role', sa.String(length=64), nullable=False),
    sa.Column('assigned', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['user.id']),
    sa.PrimaryKeyConstraint('user_id', 'role')
    )
    op.create_index('ix_role_assignment_role', 'role_assignment', ['role'], unique=False)
    # Whoever is gone holds nothing.
    op.execute(
        'INSERT INTO role_assignment (user_id, role, assigned) '
        'SELECT id, role, created FROM "user" WHERE revoked IS NULL'
    )
    op.drop_column('user', 'role')
    op.add_column('token', sa.Column('is_agent', sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    """Take back: of several roles the strongest built-in one is kept."""
    op.drop_column('token', 'is_agent')
    op.add_column('user', sa.Column('role', sa.String(), nullable=False, server_default='base'))
    for role in ('viewer', 'member', 'admin', 'owner'):
        op.execute(
            f'UPDATE "user" SET role = \'{role}\' WHERE id IN '  # noqa: S608 - words of our own
            f'(SELECT user_id FROM role_assignment WHERE role = \'{role}\')'
        )
    op.drop_index('ix_role_assignment_role', table_name='role_assignment')
    op.drop_table('role_assignment')
    op.drop_table('role')
