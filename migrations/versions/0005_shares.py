"""Sessions shared by a public link."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from app.db import Json

revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column('session', sa.Column('share_slug', sa.String(length=40), nullable=True))
    op.add_column('session', sa.Column('share', Json, nullable=True))
    op.create_index('session_share_slug', 'session', ['share_slug'], unique=True)


def downgrade() -> None:
    """Take back."""
    op.drop_index('session_share_slug', table_name='session')
    op.drop_column('session', 'share')
    op.drop_column('session', 'share_slug')
