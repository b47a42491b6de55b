"""Providers that vouch for people, whom they have vouched for, and sign-ins that are under way."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.db import Json

revision = '0010'
down_revision = '0009'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table('oidc_provider',
    sa.Column('id', sa.String(length=64), nullable=False),
    sa.Column('name', sa.String(length=80), nullable=False),
    sa.Column('issuer', sa.String(length=500), nullable=False),
    sa.Column('client_id', sa.String(length=255), nullable=False),
    sa.Column('scopes', Json, nullable=False),
    sa.Column('auto_register', sa.Boolean(), nullable=False),
    sa.Column('default_role', sa.String(length=64), nullable=False),
    sa.Column('role_claim', sa.String(length=128), nullable=False),
    sa.Column('role_map', Json, nullable=False),
    sa.Column('enabled', sa.Boolean(), nullable=False),
    sa.Column('ceiling', Json, nullable=False),
    sa.Column('set_by', sa.String(length=40), nullable=False),
    sa.Column('said', Json, nullable=False),
    sa.Column('fetched', sa.BigInteger(), nullable=False),
    sa.Column('created', sa.BigInteger(), nullable=False),
    sa.Column('updated', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('id')
    )
    op.create_table('oidc_identity',
    sa.Column('id', sa.String(length=40), nullable=False),
    sa.Column('issuer', sa.String(length=500), nullable=False),
    sa.Column('subject', sa.String(length=255), nullable=False),
    sa.Column('provider', sa.String(length=64), nullable=False),
    sa.Column('user_id', sa.String(length=40), nullable=False),
    sa.Column('email', sa.String(length=255), nullable=False),
    sa.Column('created', sa.BigInteger(), nullable=False),
    sa.Column('seen', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('issuer', 'subject')
    )
    op.create_index('ix_oidc_identity_provider', 'oidc_identity', ['provider'], unique=False)
    op.create_index('ix_oidc_identity_user_id', 'oidc_identity', ['user_id'], unique=False)
    op.create_table('oidc_state',
    sa.Column('hash', sa.String(length=64), nullable=False),
    sa.Column('browser', sa.String(length=64), nullable=False),
    sa.Column('provider', sa.String(length=64), nullable=False),
    sa.Column('purpose', sa.String(length=16), nullable=False),
    sa.Column('user_id', sa.String(length=40), nullable=False),
    sa.Column('going', sa.String(length=2000), nullable=False),
    sa.Column('address', sa.String(length=64), nullable=False),
    sa.Column('expires', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('hash')
    )
    op.create_index('ix_oidc_state_expires', 'oidc_state', ['expires'], unique=False)
    op.create_table('handover',
    sa.Column('hash', sa.String(length=64), nullable=False),
    sa.Column('user_id', sa.String(), nullable=False),
    sa.Column('expires', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['user.id']),
    sa.PrimaryKeyConstraint('hash')
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table('handover')
    op.drop_index('ix_oidc_state_expires', table_name='oidc_state')
    op.drop_table('oidc_state')
    op.drop_index('ix_oidc_identity_user_id', table_name='oidc_identity')
    op.drop_index('ix_oidc_identity_provider', table_name='oidc_identity')
    op.drop_table('oidc_identity')
    op.drop_table('oidc_provider')
