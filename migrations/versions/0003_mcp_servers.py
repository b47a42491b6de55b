"""MCP servers of projects."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from app.db import Json

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table('mcp_server',
    sa.Column('id', sa.String(length=40), nullable=False),
    sa.Column('project', sa.String(length=40), nullable=False),
    sa.Column('name', sa.String(length=64), nullable=False),
    sa.Column('kind', sa.String(length=8), nullable=False),
    sa.Column('target', Json, nullable=False),
    sa.Column('timeout', sa.Integer(), nullable=False),
    sa.Column('enabled', sa.Boolean(), nullable=False),
    sa.Column('by', sa.String(length=40), nullable=False),
    sa.Column('created', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('project', 'name')
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table('mcp_server')
