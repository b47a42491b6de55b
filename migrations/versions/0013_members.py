"""Who is in which project, and what somebody was lent beside their roles."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0013'
down_revision = '0012'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table('loan',
    sa.Column('id', sa.String(length=40), nullable=False),
    sa.Column('user_id', sa.String(), nullable=False),
    sa.Column('key', sa.String(length=64), nullable=False),
    sa.Column('project', sa.String(length=40), nullable=False),
    sa.Column('owner', sa.String(length=40), nullable=False),
    sa.Column('given_by', sa.String(length=40), nullable=False),
    sa.Column('given', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['user.id']),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('user_id', 'key', 'project', 'owner')
    )
    op.create_index(op.f('ix_loan_owner'), 'loan', ['owner'], unique=False)
    op.create_index(op.f('ix_loan_project'), 'loan', ['project'], unique=False)
    op.create_table('project_member',
    sa.Column('project', sa.String(length=40), nullable=False),
    sa.Column('user_id', sa.String(length=40), nullable=False),
    sa.Column('added_by', sa.String(length=40), nullable=False),
    sa.Column('added', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('project', 'user_id')
    )
    op.create_index(op.f('ix_project_member_user_id'), 'project_member', ['user_id'], unique=False)
    op.create_index(
        'ix_project_closed',
        'project',
        ['id'],
        unique=False,
        sqlite_where=sa.text("visibility = 'members'"),
        postgresql_where=sa.text("visibility = 'members'"),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_index('ix_project_closed', table_name='project')
    op.drop_table('project_member')
    op.drop_table('loan')
