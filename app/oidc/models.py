"""The tables of OIDC: providers, whom they have vouched for, and sign-ins that are under way."""

from __future__ import annotations

import sqlalchemy as sa

from app import db

provider = sa.Table(
    "oidc_provider",
    db.metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(80), nullable=False),
    sa.Column("issuer", sa.String(500), nullable=False),
    sa.Column("client_id", sa.String(255), nullable=False),
    sa.Column("scopes", db.Json, nullable=False),
    sa.Column("auto_register", sa.Boolean, nullable=False),
    sa.Column("default_role", sa.String(64), nullable=False),
    sa.Column("role_claim", sa.String(128), nullable=False),
    sa.Column("role_map", db.Json, nullable=False),
    sa.Column("enabled", sa.Boolean, nullable=False),
    # What who set it up held then: nobody comes in by it with more.
    sa.Column("ceiling", db.Json, nullable=False),
    sa.Column("set_by", sa.String(40), nullable=False),
    sa.Column("said", db.Json, nullable=False),
    sa.Column("fetched", sa.BigInteger, nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Column("updated", sa.BigInteger, nullable=False),
)

identity = sa.Table(
    "oidc_identity",
    db.metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("issuer", sa.String(500), nullable=False),
    sa.Column("subject", sa.String(255), nullable=False),
    sa.Column("provider", sa.String(64), nullable=False, index=True),
    sa.Column("user_id", sa.String(40), nullable=False, index=True),
    sa.Column("email", sa.String(255), nullable=False),
    # What its claims gave at the last sign-in.
    sa.Column("roles", db.Json, nullable=False, server_default="[]"),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Column("seen", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("issuer", "subject"),
)

state = sa.Table(
    "oidc_state",
    db.metadata,
    # The SHA-256 of the state; nonce and verifier are worked out from what the browser alone holds.
    sa.Column("hash", sa.String(64), primary_key=True),
    sa.Column("browser", sa.String(64), nullable=False),
    sa.Column("provider", sa.String(64), nullable=False),
    sa.Column("purpose", sa.String(16), nullable=False),
    sa.Column("user_id", sa.String(40), nullable=False),
    sa.Column("going", sa.String(2000), nullable=False),
    sa.Column("address", sa.String(64), nullable=False),
    sa.Column("expires", sa.BigInteger, nullable=False, index=True),
)
