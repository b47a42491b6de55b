"""The server's custom modes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.db import Json

revision = '0007'
down_revision = '0006'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table('custom_mode',
    sa.Column('slug', sa.String(length=64), nullable=False),
    sa.Column('definition', Json, nullable=False),
    sa.Column('by', sa.String(length=40), nullable=False),
    sa.Column('updated', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('slug')
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table('custom_mode')
