"""Passwords, the clients that people sign in with, and what browsers say they are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0008'
down_revision = '0007'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table('password',
    sa.Column('user_id', sa.String(), nullable=False),
    sa.Column('hash', sa.String(), nullable=False),
    sa.Column('changed', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['user.id'], ),
    sa.PrimaryKeyConstraint('user_id')
    )
    op.create_table('client_session',
    sa.Column('id', sa.String(), nullable=False),
    sa.Column('user_id', sa.String(), nullable=False),
    sa.Column('address', sa.String(), nullable=False),
    sa.Column('agent', sa.String(length=300), nullable=False),
    sa.Column('created', sa.BigInteger(), nullable=False),
    sa.Column('seen', sa.BigInteger(), nullable=False),
    sa.Column('expires', sa.BigInteger(), nullable=False),
    sa.Column('proved', sa.BigInteger(), nullable=False),
    sa.Column('ended', sa.BigInteger(), nullable=True),
    sa.ForeignKeyConstraint(['user_id'], ['user.id'], ),
    sa.PrimaryKeyConstraint('id')
    )
    op.create_index('ix_client_session_user_id', 'client_session', ['user_id'])
    op.create_index('ix_client_session_expires', 'client_session', ['expires'])
    op.create_table('refresh_token',
    sa.Column('hash', sa.String(), nullable=False),
    sa.Column('session_id', sa.String(), nullable=False),
    sa.Column('created', sa.BigInteger(), nullable=False),
    sa.Column('used', sa.BigInteger(), nullable=True),
    sa.Column('salt', sa.String(), nullable=False),
    sa.ForeignKeyConstraint(['session_id'], ['client_session.id'], ),
    sa.PrimaryKeyConstraint('hash')
    )
    op.create_index('ix_refresh_token_session_id', 'refresh_token', ['session_id'])
    op.create_table('access_token',
    sa.Column('hash', sa.String(), nullable=False),
    sa.Column('session_id', sa.String(), nullable=False),
    sa.Column('expires', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['session_id'], ['client_session.id'], ),
    sa.PrimaryKeyConstraint('hash')
    )
    op.create_index('ix_access_token_session_id', 'access_token', ['session_id'])
    op.add_column('browser_session', sa.Column('agent', sa.String(length=300), server_default='', nullable=False))
    op.add_column('browser_session', sa.Column('proved', sa.BigInteger(), server_default='0', nullable=False))
    op.add_column('signin_failure', sa.Column('account', sa.String(length=64), server_default='', nullable=False))
    op.create_index('ix_signin_failure_account', 'signin_failure', ['account'])


def downgrade() -> None:
    """Take back."""
    op.drop_index('ix_signin_failure_account', 'signin_failure')
    op.drop_column('signin_failure', 'account')
    op.drop_column('browser_session', 'proved')
    op.drop_column('browser_session', 'agent')
    op.drop_table('access_token')
    op.drop_table('refresh_token')
    op.drop_table('client_session')
    op.drop_table('password')
