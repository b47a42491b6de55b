"""Configurations."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from app.db import Json

revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table('configuration',
    sa.Column('scope', sa.String(length=64), nullable=False),
    sa.Column('document', Json, nullable=False),
    sa.Column('sealed', sa.Boolean(), nullable=False),
    sa.Column('by', sa.String(length=40), nullable=False),
    sa.Column('updated', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('scope')
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table('configuration')
