"""Quiet hours, and what was told together when they ended."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0015'
down_revision = '0014'
branch_labels = None
depends_on = None


def _rules() -> tuple[sa.Column, ...]:
    return (
        sa.Column('quiet', sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column('quiet_from', sa.Integer(), server_default='1200', nullable=False),
        sa.Column('quiet_to', sa.Integer(), server_default='450', nullable=False),
        sa.Column('quiet_days', sa.String(length=7), server_default='1234567', nullable=False),
        sa.Column('quiet_lets', sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column('zone', sa.String(length=64), server_default='UTC', nullable=False),
    )


def upgrade() -> None:
    """Apply."""
    for column in _rules():
        op.add_column('notification_rules', column)
    op.add_column(
        'notification', sa.Column('joined', sa.String(length=40), server_default='', nullable=False)
    )
    op.create_index(op.f('ix_notification_joined'), 'notification', ['joined'], unique=False)


def downgrade() -> None:
    """Take back."""
    op.drop_index(op.f('ix_notification_joined'), table_name='notification')
    op.drop_column('notification', 'joined')
    for column in reversed(_rules()):
        op.drop_column('notification_rules', column.name)
