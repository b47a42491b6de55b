"""When shared sessions end by themselves, what people choose for themselves, and what is chosen for the server."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0014'
down_revision = '0013'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column('session', sa.Column('share_until', sa.BigInteger(), nullable=True))
    op.create_index(op.f('ix_session_share_until'), 'session', ['share_until'], unique=False)
    # What the team sees and has a link is called shared from now on; what was private stays so.
    op.execute(
        "UPDATE session SET visibility = 'shared' WHERE share_slug IS NOT NULL AND visibility = 'team'"
    )
    op.create_table('look',
    sa.Column('user_id', sa.String(), nullable=False),
    sa.Column('theme', sa.String(length=16), nullable=False),
    sa.Column('density', sa.String(length=16), nullable=False),
    sa.Column('visibility', sa.String(length=16), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['user.id'], ),
    sa.PrimaryKeyConstraint('user_id')
    )
    op.create_table('server_choice',
    sa.Column('name', sa.String(length=64), nullable=False),
    sa.Column('value', sa.String(length=200), nullable=False),
    sa.Column('by', sa.String(length=40), nullable=False),
    sa.Column('updated', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('name')
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table('server_choice')
    op.drop_table('look')
    op.execute("UPDATE session SET visibility = 'team' WHERE visibility = 'shared'")
    op.drop_index(op.f('ix_session_share_until'), table_name='session')
    op.drop_column('session', 'share_until')
