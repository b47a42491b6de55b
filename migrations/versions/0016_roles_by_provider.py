"""The roles that each provider's claims gave, so that a second one takes none of the first one's."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.db import Json

revision = '0016'
down_revision = '0015'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column('oidc_identity', sa.Column('roles', Json, server_default='[]', nullable=False))


def downgrade() -> None:
    """Take back."""
    op.drop_column('oidc_identity', 'roles')
