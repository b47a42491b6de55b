"""Where people are notified, by which rules, and what was told."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.db import Json

revision = '0012'
down_revision = '0011'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table('notification_channel',
    sa.Column('id', sa.String(length=40), nullable=False),
    sa.Column('owner', sa.String(length=40), nullable=False),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('name', sa.String(length=100), nullable=False),
    sa.Column('address', sa.String(length=2000), nullable=False),
    sa.Column('occasions', Json, nullable=False),
    sa.Column('created', sa.BigInteger(), nullable=False),
    sa.Column('ended', sa.String(length=400), nullable=False),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('owner', 'kind', 'address')
    )
    op.create_index(op.f('ix_notification_channel_owner'), 'notification_channel', ['owner'], unique=False)
    op.create_table('notification_rules',
    sa.Column('owner', sa.String(length=40), nullable=False),
    sa.Column('away_only', sa.Boolean(), nullable=False),
    sa.Column('others', sa.Boolean(), nullable=False),
    sa.Column('delay', sa.Integer(), nullable=False),
    sa.PrimaryKeyConstraint('owner')
    )
    op.create_table('notification',
    sa.Column('id', sa.String(length=40), nullable=False),
    sa.Column('owner', sa.String(length=40), nullable=False),
    sa.Column('channel', sa.String(length=40), nullable=False),
    sa.Column('occasion', sa.String(length=16), nullable=False),
    sa.Column('about', sa.String(length=64), nullable=False),
    sa.Column('session', sa.String(length=40), nullable=False),
    sa.Column('title', sa.String(length=200), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('tries', sa.Integer(), nullable=False),
    sa.Column('due', sa.BigInteger(), nullable=False),
    sa.Column('why', sa.String(length=400), nullable=False),
    sa.Column('created', sa.BigInteger(), nullable=False),
    sa.Column('settled', sa.BigInteger(), nullable=True),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('channel', 'about')
    )
    op.create_index('notification_due', 'notification', ['state', 'due'], unique=False)
    op.create_index('notification_owner', 'notification', ['owner', 'created'], unique=False)
    op.create_index(op.f('ix_notification_session'), 'notification', ['session'], unique=False)
    op.create_table('notification_presence',
    sa.Column('owner', sa.String(length=40), nullable=False),
    sa.Column('seen', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('owner')
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table('notification_presence')
    op.drop_table('notification')
    op.drop_table('notification_rules')
    op.drop_table('notification_channel')
