"""Links that let somebody in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.db import Json

revision = '0010b'
down_revision = '0010'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table('sign_in_link',
    sa.Column('id', sa.String(length=40), nullable=False),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('email', sa.String(length=255), nullable=False),
    sa.Column('roles', Json, nullable=False),
    sa.Column('hash', sa.String(length=64), nullable=False),
    sa.Column('made_by', sa.String(length=40), nullable=False),
    sa.Column('redirect', sa.String(length=2000), nullable=False),
    sa.Column('address', sa.String(length=64), nullable=False),
    sa.Column('created', sa.BigInteger(), nullable=False),
    sa.Column('expires', sa.BigInteger(), nullable=False),
    sa.Column('used', sa.BigInteger(), nullable=True),
    sa.Column('revoked', sa.BigInteger(), nullable=True),
    sa.Column('mail', sa.String(length=16), nullable=False),
    sa.Column('mail_said', sa.String(length=500), nullable=False),
    sa.Column('mail_tries', sa.Integer(), nullable=False),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('hash')
    )
    op.create_index('ix_sign_in_link_email', 'sign_in_link', ['email'], unique=False)
    op.create_index('ix_sign_in_link_expires', 'sign_in_link', ['expires'], unique=False)
    op.create_index('ix_sign_in_link_made_by', 'sign_in_link', ['made_by'], unique=False)


def downgrade() -> None:
    """Take back."""
    op.drop_index('ix_sign_in_link_made_by', table_name='sign_in_link')
    op.drop_index('ix_sign_in_link_expires', table_name='sign_in_link')
    op.drop_index('ix_sign_in_link_email', table_name='sign_in_link')
    op.drop_table('sign_in_link')
