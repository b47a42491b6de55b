"""What people have chosen over Roo's API."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.db import Json

revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table('roo_choice',
    sa.Column('owner', sa.String(length=40), nullable=False),
    sa.Column('directory', sa.String(length=1000), nullable=False),
    sa.Column('task', sa.String(length=40), nullable=False),
    sa.Column('mode', sa.String(length=64), nullable=False),
    sa.Column('profile', sa.String(length=40), nullable=False),
    sa.Column('instructions', sa.Text(), nullable=False),
    sa.Column('approve', Json, nullable=False),
    sa.PrimaryKeyConstraint('owner', 'directory')
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table('roo_choice')
